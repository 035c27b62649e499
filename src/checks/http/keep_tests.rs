//! One connection for one attempt after another, with scripted servers.

use std::time::Duration;

use crate::{
    checks::{
        kept::Connection,
        script::{Outcome, TARGET, Turn, converse_after, spec, unconfigured},
    },
    model::{CheckSpec, HttpMethod, Negotiate, Phase, Reason},
    pattern::Pattern,
};

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// How an attempt goes that opens no connection.
const KEPT: &str = "in match";

fn check() -> CheckSpec {
    let mut asked = Negotiate {
        request: format!("http://{TARGET}/").into_bytes(),
        receive: Some(Pattern::new(b"hello").unwrap()),
        ..unconfigured("http")
    };
    asked.http.keep_alive = true;
    spec(asked)
}

/// Hears a request and says this.
fn turns(answer: &str) -> Vec<Turn> {
    vec![Turn::Hear("\r\n\r\n"), Turn::HearSome, Turn::Say(answer.as_bytes().to_vec())]
}

/// A server that answers one request so and waits for the next.
fn first(answer: &str) -> Vec<Turn> {
    vec![Turn::Hear("\r\n\r\n"), Turn::Say(answer.as_bytes().to_vec())]
}

/// An attempt behind another, with this server if it wants a new connection.
async fn attempt(before: Option<Connection>, server: Vec<Turn>) -> (Outcome, Option<Connection>) {
    converse_after(Some(before), &check(), Vec::new(), vec![server]).await
}

/// The verdict of a first attempt, and whether it leaves its connection.
async fn leaves(answer: &str) -> (String, bool) {
    let server = [first(answer), vec![Turn::Hang]].concat();
    let (outcome, left) = attempt(None, server).await;
    (outcome.words(), left.is_some())
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_goes_on_with_the_connection() {
    let server = [first(GOOD), turns(GOOD), turns(GOOD), vec![Turn::Hang]].concat();
    let (outcome, mut left) = attempt(None, server).await;
    assert_eq!(outcome.words(), "200 OK");
    assert!(
        outcome.heard[0].ends_with("\r\nConnection: keep-alive\r\n\r\n"),
        "{:?}",
        outcome.heard
    );
    assert_eq!(outcome.trace.to_string(), KEPT);
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(10)).await;
        let (outcome, next) = attempt(left, vec![]).await;
        assert_eq!(outcome.words(), "200 OK");
        assert_eq!(outcome.visited, [], "no other connection");
        // What was before the attempt is none of it.
        assert_eq!(outcome.trace.to_string(), KEPT);
        left = next;
    }
    assert!(left.is_some());
}

#[tokio::test(start_paused = true)]
async fn only_answers_that_end_beyond_doubt_leave_a_connection() {
    let header = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\nhello");
    for (answer, expected) in [
        (GOOD.to_owned(), true),
        (header("Connection: keep-alive\r\ncontent-length: 5\r\n"), true),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{GOOD}"), true),
        (header("Content-Length: 5\r\nConnection: Close\r\n"), false),
        (header("Content-Length: 5\r\nConnection: x, close\r\n"), false),
        (GOOD.replace("1.1", "1.0"), false),
        (GOOD.to_owned() + "!", false),
        (GOOD.to_owned() + GOOD, false),
        (header("Content-Length: 5\r\nContent-Length: 5\r\n"), false),
        (header("Content-Length: 5, 5\r\n"), false),
        (header("Content-Length: +5\r\n"), false),
        (header("Content-Length : 5\r\n"), false),
        (header("Content-Length: 5\r\nno field\r\n"), false),
        (header("Content-Length: 5\r\nX: a\r\n b\r\n"), false),
    ] {
        let is_length = answer.contains("+5") || answer.contains("5, 5");
        let (words, is_left) = leaves(&answer).await;
        // Of a length that is none the body ends with the connection.
        assert_eq!(is_left, expected, "{answer}");
        assert!(words == "200 OK" || is_length, "{answer}: {words}");
    }
    let chunks = |end: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{end}")
    };
    for (end, expected) in [
        ("0\r\n\r\n", true),
        ("0;x=y\r\n\r\n", true),
        ("0\r\nX: y\r\n\r\n", false),
        ("0\r\n", false),
        ("0\r\n\r\nx", false),
        ("x\r\n\r\n", false),
    ] {
        assert_eq!(leaves(&chunks(end)).await, ("200 OK".to_owned(), expected), "{end}");
    }
    let both = chunks("0\r\n\r\n").replace("\r\n\r\n5", "\r\nContent-Length: 15\r\n\r\n5");
    assert_eq!(leaves(&both).await, ("200 OK".to_owned(), false));
    let zipped = GOOD.replace("Content-Length: 5", "Transfer-Encoding: gzip");
    assert!(!leaves(&zipped).await.1);
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_leave_a_connection() {
    let mut head = check();
    let crate::model::CheckKind::Negotiate(asked) = &mut head.kind else { panic!() };
    (asked.method, asked.receive) = (HttpMethod::Head, None);
    let server = [first("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), vec![Turn::Hang]].concat();
    let (outcome, left) = converse_after(Some(None), &head, Vec::new(), vec![server]).await;
    assert_eq!((outcome.words().as_str(), left.is_some()), ("200 OK", true));
}

#[tokio::test(start_paused = true)]
async fn what_failed_or_led_elsewhere_leaves_no_connection() {
    let bad = GOOD.replace("200 OK", "500 Oh");
    assert_eq!(leaves(&bad).await, ("protocol: 500 Oh".to_owned(), false));
    let (words, is_left) = leaves(&GOOD.replace("hello", "world")).await;
    assert!(words.starts_with("mismatch: ") && !is_left, "{words}");
    let moved = "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
    let servers =
        vec![[first(moved), vec![Turn::Hang]].concat(), [first(GOOD), vec![Turn::Hang]].concat()];
    let (outcome, left) = converse_after(Some(None), &check(), Vec::new(), servers).await;
    assert_eq!((outcome.words().as_str(), left.is_some()), ("200 OK", false));
    assert!(outcome.heard[1].ends_with("\r\nConnection: close\r\n\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_over_is_no_failure() {
    // Closed meanwhile; closed when it is asked; with something unasked in between; with no answer of HTTP/1.1; with
    // the goodbye of a server that nobody has used for long.
    let ends: [Vec<Turn>; 6] = [
        vec![],
        vec![Turn::HearSome],
        vec![Turn::Wait(Duration::from_secs(3)), Turn::Say(GOOD.into()), Turn::Hang],
        [turns("hello"), vec![]].concat(),
        turns("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"),
        turns("HTTP/1.1 200 OK\r\nhello\r\n\r\nhello"),
    ];
    for end in ends {
        let (_, left) = attempt(None, [first(GOOD), end.clone()].concat()).await;
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::task::yield_now().await;
        let again = GOOD.replace("200 OK", "201 Made");
        let (outcome, left) = attempt(left, [first(&again), vec![Turn::Hang]].concat()).await;
        assert_eq!(outcome.words(), "201 Made");
        assert_eq!(outcome.visited.len(), 1);
        assert!(left.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_says_goodbye_counts() {
    for bye in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    ] {
        let (_, left) = attempt(None, [first(GOOD), turns(bye)].concat()).await;
        let (outcome, left) = attempt(left, vec![]).await;
        assert_eq!((outcome.words().as_str(), left.is_some()), ("200 OK", false));
        assert_eq!(outcome.visited, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_is_noticed_at_the_next_attempt() {
    let (_, left) = attempt(None, first(GOOD)).await;
    // It hangs at the new connection.
    let (outcome, left) = attempt(left, vec![Turn::Hang]).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
    assert!(left.is_none());

    let (_, left) = attempt(None, [first(GOOD), vec![Turn::Hang]].concat()).await;
    // It hangs at the old one, and nobody waits twice.
    let (outcome, left) = attempt(left, [first(GOOD), vec![Turn::Hang]].concat()).await;
    assert_eq!((outcome.took, outcome.trace.phase), (Duration::from_secs(5), Phase::Receive));
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Timeout);
    assert!(left.is_none());

    let bad = GOOD.replace("200 OK", "500 Oh");
    let (_, left) = attempt(None, [first(GOOD), turns(&bad)].concat()).await;
    let (outcome, left) = attempt(left, vec![]).await;
    assert_eq!((outcome.words().as_str(), left.is_some()), ("protocol: 500 Oh", false));
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_anew_only_once() {
    let (_, left) = attempt(None, [first(GOOD), vec![Turn::HearSome]].concat()).await;
    let servers = vec![vec![Turn::HearSome], first(GOOD)];
    let (outcome, _) = converse_after(Some(left), &check(), Vec::new(), servers).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Reset);
    assert_eq!(outcome.visited.len(), 1);
}
