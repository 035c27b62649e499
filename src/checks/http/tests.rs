//! The dialogue of HTTP with scripted servers, one answer of a server a line.

use std::{net::SocketAddr, time::Duration};

use crate::{
    checks::{
        link::Security,
        script::{TARGET, Turn, converse, spec, unconfigured},
    },
    model::{
        Failure, HttpHeader, HttpMethod, HttpSettings, Negotiate, Reason, Secret, TlsSettings,
    },
    pattern::Pattern,
};

fn negotiate(url: &str, receive: &str) -> Negotiate {
    Negotiate {
        request: url.as_bytes().to_vec(),
        receive: (!receive.is_empty()).then(|| Pattern::new(receive.as_bytes()).unwrap()),
        ..unconfigured("http")
    }
}

fn says(answer: &[u8]) -> Vec<Turn> {
    vec![Turn::Hear("\r\n\r\n"), Turn::Say(answer.to_vec())]
}

fn says_and_hangs(answer: &[u8]) -> Vec<Turn> {
    [says(answer), vec![Turn::Hang]].concat()
}

/// What comes of this answer when `receive` is looked for in it: the detail of a pass, or the whole failure.
async fn outcome(turns: Vec<Turn>, receive: &str) -> String {
    let outcome = converse(&spec(negotiate("http://192.0.2.1:8080/", receive)), vec![turns]).await;
    outcome.words()
}

async fn check(answer: &[u8], receive: &str, expected: &str) {
    let found = outcome(says(answer), receive).await;
    assert_eq!(found, expected, "for {:?}", String::from_utf8_lossy(answer));
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_the_configuration_says() {
    let ok = says(b"HTTP/1.1 200 OK\r\n\r\n");
    let version = env!("CARGO_PKG_VERSION");
    let expected = |line: &str, host: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ldirectord/{version}\r\nConnection: close\r\n\r\n"
        )
    };

    let asked = negotiate("http://192.0.2.1:8080/a b%20c", "");
    let outcome = converse(&spec(asked.clone()), vec![ok.clone()]).await;
    assert_eq!(outcome.heard, [expected("GET /a%20b%20c", "192.0.2.1")]);
    assert_eq!(outcome.visited, [(TARGET.parse().unwrap(), Security::Plain)]);

    let named = Negotiate {
        virtualhost: Some("www.example.com:81".into()),
        method: HttpMethod::Head,
        ..asked.clone()
    };
    let outcome = converse(&spec(named), vec![ok.clone()]).await;
    assert_eq!(outcome.heard, [expected("HEAD /a%20b%20c", "www.example.com:81")]);

    let empty = Negotiate { virtualhost: Some(String::new()), ..asked.clone() };
    assert_eq!(
        converse(&spec(empty), vec![ok.clone()]).await.heard,
        [expected("GET /a%20b%20c", "")]
    );

    // The connection goes where the URL says, the header does not.
    let mut elsewhere = spec(negotiate("http://192.0.2.9/", ""));
    elsewhere.target = "[2001:db8::1]:80".parse().unwrap();
    let outcome = converse(&elsewhere, vec![ok.clone()]).await;
    assert_eq!(outcome.heard, [expected("GET /", "[2001:db8::1]")]);
    assert_eq!(outcome.visited, [("192.0.2.9:80".parse().unwrap(), Security::Plain)]);

    let host = Some("www.example.com".to_owned());
    let secure = Negotiate {
        protocol: "https",
        virtualhost: host.clone(),
        ..negotiate("https://192.0.2.1:8080/", "")
    };
    let outcome = converse(&spec(secure), vec![ok.clone()]).await;
    assert_eq!(outcome.visited, [(TARGET.parse().unwrap(), Security::Tls(host))]);

    let proxied =
        Negotiate { protocol: "http_proxy", ..negotiate("http://www.example.com:81/a b", "") };
    let outcome = converse(&spec(proxied), vec![ok]).await;
    assert_eq!(
        outcome.heard,
        [expected("GET http://www.example.com:81/a%20b", "www.example.com:81")]
    );
    assert_eq!(outcome.visited, [(TARGET.parse().unwrap(), Security::Plain)]);

    let relative = Negotiate { protocol: "http_proxy", ..negotiate("/", "") };
    let outcome = converse(&spec(relative), vec![]).await;
    assert_eq!(outcome.words(), "protocol: not a whole http or https URL: /");
}

#[tokio::test(start_paused = true)]
async fn the_status_decides() {
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", "200 OK").await;
    check(b"HTTP/1.0 204\r\n\r\n", "", "204").await;
    check(b"HTTP/1.1 206 Partial Content\n\nhello", "hello", "206 Partial Content").await;
    check(b"HTTP/1.1 304 Not Modified\r\n\r\n", "", "protocol: 304 Not Modified").await;
    check(b"HTTP/1.1 402 No\x07 Way\r\n\r\n", "", "protocol: 402 No Way").await;
    check(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
        "hello",
        "protocol: 404 Not Found",
    )
    .await;
    check(b"HTTP/1.1 500 Oops\r\n\r\n", "", "protocol: 500 Oops").await;
    check(b"HTTP/1.1 301 Moved\r\n\r\n", "", "protocol: 301 Moved").await;
    check(b"HTTP/2.0 503 Busy\r\n\r\n", "", "protocol: 503 Busy").await;
    check(b"HTTP/ 404 Odd\r\n\r\n", "", "protocol: 404 Odd").await;
    check(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "", "200 OK")
        .await;
    check(
        &b"HTTP/1.1 100 Continue\r\n\r\n".repeat(9),
        "",
        "protocol: 192.0.2.1:8080 sent only interim answers",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_body_is_read_by_its_length_its_chunks_or_to_its_end() {
    let mismatch = "mismatch: 200 OK, but nothing in the 3 bytes of the body matches the pattern";
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "c$", "200 OK").await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "d", mismatch).await;
    check(
        b"HTTP/1.1 200 OK\r\ncontent-length : x\r\nCONTENT-LENGTH:3\r\n\r\nabcdef",
        "d",
        mismatch,
    )
    .await;
    check(b"HTTP/1.1 200 OK\r\n\r\nabc", "^abc$", "200 OK").await;
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2;x=y\r\nab\r\n01 \r\nc\r\n0\r\n\r\nd";
    check(chunked, "^abc$", "200 OK").await;
    check(chunked, "d", mismatch).await;
    // Cut short or broken, what came counts.
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc", "abc", "200 OK").await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc", "", "200 OK").await;
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd", "^abc$", "200 OK")
        .await;
    check(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        "^abc$",
        "200 OK",
    )
    .await;
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", "", "200 OK").await;
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc", "^$", "200 OK").await;
    // Nothing is decoded.
    check(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\xff", "\\xff", "200 OK")
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_as_lax_as_lwp_allows() {
    check(b"hello\nworld", "^hello\nworld$", "200 (no status line)").await;
    check(b"hi", "hi", "200 (no status line)").await;
    check(b"HTTP/1.1 2000 OK\r\n\r\n", "^HTTP/1.1 2000", "200 (no status line)").await;
    check(b"HTTP/1.1 200 OK\r\n", "", "200 OK").await;
    check(b"HTTP/1.1 200 OK", "", "200 OK").await;
    check(b"HTTP/1.1  200   OK\r\nno field\r\n: none\r\nA: 1\r\n folded\r\nContent-Length: 2\r\n\r\nabc", "b$", "200 OK")
        .await;
    check(b"", "", "reset: 192.0.2.1:8080 closed the connection without an answer").await;
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    head.extend(b"A: 1\r\n".repeat(200));
    check(&head, "", "protocol: 192.0.2.1:8080 sent a header of more than 128 lines").await;
    let long = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'x'; 9000]].concat();
    check(&long, "", "protocol: 192.0.2.1:8080 sent a line of more than 8192 bytes").await;
    check(&vec![b'x'; 9000], "", "protocol: 192.0.2.1:8080 sent a line of more than 8192 bytes")
        .await;
}

#[tokio::test(start_paused = true)]
async fn head_has_no_body() {
    let asked = Negotiate { method: HttpMethod::Head, ..negotiate("http://192.0.2.1:8080/", "") };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let outcome = converse(&spec(asked.clone()), vec![says_and_hangs(answer)]).await;
    assert_eq!((outcome.words().as_str(), outcome.took), ("200 OK", Duration::ZERO));
    let asked = Negotiate { receive: Some(Pattern::new(b"hello").unwrap()), ..asked };
    let outcome = converse(&spec(asked), vec![says_and_hangs(answer)]).await;
    assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Mismatch);
}

#[tokio::test(start_paused = true)]
async fn redirections_are_followed_anywhere_seven_times() {
    let at = |address: &str| address.parse::<SocketAddr>().unwrap();
    let to = |location: &str| {
        says(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes())
    };
    let ok = says(b"HTTP/1.1 200 OK\r\n\r\nhello");
    let asked = Negotiate {
        virtualhost: Some("www.example.com".into()),
        ..negotiate("http://192.0.2.1:8080/a/b", "hello")
    };
    let servers =
        vec![to("c"), to("http://192.0.2.3/d"), to("https://[2001:db8::5]:8443/"), ok.clone()];
    let outcome = converse(&spec(asked.clone()), servers).await;
    assert_eq!(outcome.words(), "200 OK");
    let lines: Vec<_> = outcome
        .heard
        .iter()
        .map(|heard| heard.lines().take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "GET /a/b HTTP/1.1 Host: www.example.com",
            "GET /a/c HTTP/1.1 Host: 192.0.2.1:8080",
            "GET /d HTTP/1.1 Host: 192.0.2.3",
            "GET / HTTP/1.1 Host: [2001:db8::5]:8443",
        ]
    );
    let visited = [
        (at(TARGET), Security::Plain),
        (at(TARGET), Security::Plain),
        (at("192.0.2.3:80"), Security::Plain),
        (at("[2001:db8::5]:8443"), Security::Tls(None)),
    ];
    assert_eq!(outcome.visited, visited);

    // With TLS, and verified, the real server keeps its name wherever on it a redirection leads.
    let asked_tls = |tls| Negotiate {
        tls,
        protocol: "https",
        request: b"https://192.0.2.1:8080/".to_vec(),
        ..asked.clone()
    };
    let plain = TlsSettings::default();
    let verified = TlsSettings { verify: true, ..plain.clone() };
    let named = TlsSettings { name: Some("a.example".into()), ..plain.clone() };
    let (virtualhost, own) = (Some("www.example.com"), Some("a.example"));
    for (tls, names) in [
        (plain, [virtualhost, None, None]),
        (verified, [virtualhost, virtualhost, None]),
        (named, [own, own, None]),
    ] {
        let servers = vec![to("c"), to("https://192.0.2.3:8080/d"), ok.clone()];
        let outcome = converse(&spec(asked_tls(tls)), servers).await;
        let places = [at(TARGET), at(TARGET), at("192.0.2.3:8080")];
        let expected =
            places.into_iter().zip(names.map(|name| Security::Tls(name.map(str::to_owned))));
        assert_eq!(outcome.visited, expected.collect::<Vec<_>>());
    }

    let seven = [vec![to("/x"); 7], vec![ok]].concat();
    assert_eq!(converse(&spec(asked.clone()), seven).await.words(), "200 OK");
    let eight = vec![to("/x"); 8];
    assert_eq!(
        converse(&spec(asked.clone()), eight).await.words(),
        "protocol: 302 Found after 7 redirections"
    );
    let outcome = converse(&spec(asked), vec![to("ftp://192.0.2.3/")]).await;
    let expected = "protocol: 302 Found, but cannot follow it to ftp://192.0.2.3/: not a whole http or https URL";
    assert_eq!(outcome.words(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_ends_everything() {
    let late = |answer: &[u8], receive: &'static str| {
        let check = spec(negotiate("http://192.0.2.1:8080/", receive));
        let turns = says_and_hangs(answer);
        async move {
            let outcome = converse(&check, vec![turns]).await;
            assert_eq!(outcome.took, Duration::from_secs(5));
            outcome.words()
        }
    };
    assert_eq!(late(b"", "").await, "timeout: no answer from 192.0.2.1:8080 within 5s");
    let expected =
        "timeout: no complete answer from 192.0.2.1:8080 within 5s, only 15 bytes of one";
    assert_eq!(late(b"HTTP/1.1 200 OK", "").await, expected);
    assert!(late(b"HTTP/1.1 200 OK\r\nA: 1\r\n", "").await.starts_with("timeout: "));
    // A body that was cut off is enough only if what is looked for is in what came.
    assert!(late(b"HTTP/1.1 200 OK\r\n\r\nhello", "").await.starts_with("timeout: "));
    assert!(late(b"HTTP/1.1 200 OK\r\n\r\nhello", "world").await.starts_with("timeout: "));
    assert_eq!(late(b"HTTP/1.1 200 OK\r\n\r\nhello", "hello").await, "200 OK");

    // Slow, a byte a second: the whole attempt has five seconds, not each read.
    let slow = b"HTTP/1.1 200 OK"
        .iter()
        .flat_map(|byte| [Turn::Say(vec![*byte]), Turn::Wait(Duration::from_secs(1))]);
    let outcome =
        converse(&spec(negotiate("http://192.0.2.1:8080/", "")), vec![slow.collect()]).await;
    assert_eq!(outcome.took, Duration::from_secs(5));
    assert!(matches!(outcome.verdict, Err(Failure { reason: Reason::Timeout, .. })));
}

#[tokio::test(start_paused = true)]
async fn of_an_endless_body_the_first_mebibyte_is_looked_at() {
    let mut turns = says(b"HTTP/1.1 200 OK\r\n\r\nhello");
    turns.extend(vec![Turn::Say(vec![b'x'; 1 << 20]); 4]);
    turns.push(Turn::Say(b"world".to_vec()));
    assert_eq!(outcome(turns.clone(), "").await, "200 OK");
    assert_eq!(outcome(turns.clone(), "hello").await, "200 OK");
    let expected =
        "mismatch: 200 OK, but nothing in the 1048576 bytes of the body matches the pattern";
    assert_eq!(outcome(turns, "world").await, expected);
    // Chunks of one byte do not make it longer.
    let mut turns = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    turns.extend(vec![Turn::Say(b"1\r\nx\r\n".repeat(100_000)); 8]);
    turns.push(Turn::Hang);
    assert_eq!(outcome(turns, "").await, "200 OK");
}

fn with_http(http: HttpSettings) -> Negotiate {
    Negotiate { http, ..negotiate("http://192.0.2.1:8080/", "") }
}

fn header(name: &str, value: &str) -> HttpHeader {
    HttpHeader { name: name.to_owned(), value: Secret(value.to_owned()) }
}

#[tokio::test(start_paused = true)]
async fn the_request_has_the_headers_and_the_body_that_are_asked_for() {
    let ok = Turn::Say(b"HTTP/1.1 200 OK\r\n\r\n".to_vec());
    let http = HttpSettings {
        headers: vec![
            header("User-Agent", "mine"),
            header("authorization", "Bearer x"),
            header("Content-Type", "application/json"),
        ],
        body: Secret("{\"a\": 1}".to_owned()),
        ..HttpSettings::default()
    };
    let asked = Negotiate {
        method: HttpMethod::Post,
        request: b"http://me:mine@192.0.2.1:8080/".to_vec(),
        ..with_http(http)
    };
    let outcome = converse(&spec(asked), vec![vec![Turn::Hear("1}"), ok.clone()]]).await;
    assert_eq!(outcome.words(), "200 OK");
    assert_eq!(
        outcome.heard,
        ["POST / HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: mine\r\nauthorization: Bearer x\r\n\
          Content-Type: application/json\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{\"a\": 1}"]
    );
    for (method, line, length) in [
        (HttpMethod::Post, "POST / ", true),
        (HttpMethod::Put, "PUT / ", true),
        (HttpMethod::Options, "OPTIONS / ", false),
    ] {
        let asked = Negotiate { method, ..with_http(HttpSettings::default()) };
        let turns = vec![Turn::Hear("\r\n\r\n"), ok.clone()];
        let outcome = converse(&spec(asked), vec![turns]).await;
        assert!(outcome.heard[0].starts_with(line), "{:?}", outcome.heard);
        assert_eq!(outcome.heard[0].contains("Content-Length: 0\r\n"), length);
    }
}

#[tokio::test(start_paused = true)]
async fn what_we_say_of_our_own_is_not_said_to_others() {
    let to = |location: &str| {
        says(format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n").as_bytes())
    };
    let http = HttpSettings { headers: vec![header("Cookie", "a=b")], ..HttpSettings::default() };
    let ok = says(b"HTTP/1.1 200 OK\r\n\r\n");
    for (location, own) in [
        ("/there", true),
        ("http://192.0.2.1:8080/there", true),
        ("http://192.0.2.1:8081/", false),
        ("https://192.0.2.1:8080/", false),
        ("http://192.0.2.3:8080/", false),
    ] {
        let servers = vec![to(location), ok.clone()];
        let outcome = converse(&spec(with_http(http.clone())), servers).await;
        let told: Vec<_> =
            outcome.heard.iter().map(|heard| heard.contains("Cookie: a=b\r\n")).collect();
        assert_eq!(told, [true, own], "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_is_one_of_those_expected() {
    let http = HttpSettings { statuses: vec![204..=204, 300..=399], ..HttpSettings::default() };
    let to_b = says(b"HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\n");
    let words = |statuses: &HttpSettings, servers: Vec<Vec<Turn>>| {
        let check = spec(with_http(statuses.clone()));
        async move { converse(&check, servers).await.words() }
    };
    let ok = says(b"HTTP/1.1 200 OK\r\n\r\n");
    let none = says(b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(words(&http, vec![none]).await, "204 No Content");
    let expected = "mismatch: 200 OK, expected was 204, 300-399";
    assert_eq!(words(&http, vec![ok.clone()]).await, expected);
    assert_eq!(words(&http, vec![to_b.clone()]).await, "302 Found", "it is not followed");
    let other = HttpSettings { statuses: vec![200..=200, 503..=503], ..http.clone() };
    assert_eq!(words(&other, vec![to_b, ok]).await, "200 OK", "it is followed");
    let sorry = says(b"HTTP/1.1 503 Sorry\r\n\r\n");
    assert_eq!(words(&other, vec![sorry]).await, "503 Sorry");
    let unchanged = says_and_hangs(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(words(&http, vec![unchanged]).await, "304 Not Modified", "no body is waited for");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_is_told_what_was_sent() {
    let sent =
        |field| HttpSettings { headers: vec![header(field, "x")], ..HttpSettings::default() };
    let nothing = HttpSettings::default;
    let own = "no Authorization was sent (`requestheader`)";
    let of_proxy = "no Proxy-Authorization was sent (`requestheader`)";
    for (protocol, url, http, status, expected) in [
        ("http", "http://192.0.2.1:8080/", nothing(), 401, own),
        ("http", "http://192.0.2.1:8080/", nothing(), 403, own),
        ("http", "http://192.0.2.1:8080/", nothing(), 407, of_proxy),
        ("http_proxy", "http://192.0.2.3/", nothing(), 401, own),
        ("http_proxy", "http://192.0.2.3/", nothing(), 403, of_proxy),
        ("http_proxy", "http://192.0.2.3/", nothing(), 407, of_proxy),
        (
            "http",
            "http://192.0.2.1:8080/",
            sent("authorization"),
            401,
            "with the Authorization that was sent",
        ),
        (
            "http",
            "http://me:mine@192.0.2.1:8080/",
            nothing(),
            403,
            "with the Authorization that was sent",
        ),
        (
            "http_proxy",
            "http://192.0.2.3/",
            sent("Proxy-Authorization"),
            407,
            "with the Proxy-Authorization that was sent",
        ),
        // What is in the body is no field.
        (
            "http",
            "http://192.0.2.1:8080/",
            HttpSettings { body: Secret("\r\nAuthorization: x".to_owned()), ..nothing() },
            401,
            own,
        ),
    ] {
        let asked = Negotiate { protocol, http, ..negotiate(url, "") };
        let answer = Turn::Say(format!("HTTP/1.1 {status} Go\r\n\r\n").into_bytes());
        let turns = vec![Turn::HearSome, answer];
        let words = converse(&spec(asked), vec![turns]).await.words();
        assert_eq!(words, format!("denied: {status} Go; {expected}"), "{protocol} {url}");
    }
    let but = |statuses| HttpSettings { statuses, ..HttpSettings::default() };
    let forbidden = says(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    let words = |http: HttpSettings| {
        let (check, server) = (spec(with_http(http)), forbidden.clone());
        async move { converse(&check, vec![server]).await.words() }
    };
    assert_eq!(words(but(vec![403..=403])).await, "403 Forbidden");
    let expected = format!("denied: 403 Forbidden, expected was 204; {own}");
    assert_eq!(words(but(vec![204..=204])).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_redirection_is_no_answer_to_what_does_something() {
    let to_b = says(b"HTTP/1.1 303 See Other\r\nLocation: /b\r\n\r\n");
    for method in [HttpMethod::Post, HttpMethod::Put, HttpMethod::Options] {
        let asked = Negotiate { method, ..with_http(HttpSettings::default()) };
        let outcome = converse(&spec(asked), vec![to_b.clone()]).await;
        assert_eq!(outcome.words(), "protocol: 303 See Other");
    }
}

#[tokio::test(start_paused = true)]
async fn the_header_has_what_is_expected_in_it() {
    let pattern = |source: &str| Pattern::new(source.as_bytes()).unwrap();
    let http = HttpSettings {
        expected_headers: vec![
            ("X-Health".to_owned(), pattern("^ok$")),
            ("Server".to_owned(), pattern("")),
        ],
        ..HttpSettings::default()
    };
    for (fields, expected) in [
        ("x-health: ok\r\nServer: a", "200 OK"),
        ("X-Health: bad\r\nX-Health: ok\r\nSERVER:", "200 OK"),
        (
            "X-Health: bad\r\nServer: a",
            "mismatch: 200 OK, but its header X-Health does not match the pattern",
        ),
        ("Server: a", "mismatch: 200 OK, but it has no header X-Health"),
        ("X-Health: ok", "mismatch: 200 OK, but it has no header Server"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 0\r\n\r\n");
        let outcome = converse(&spec(with_http(http.clone())), vec![says(answer.as_bytes())]).await;
        assert_eq!(outcome.words(), expected, "{fields}");
    }
    let bare = converse(&spec(with_http(http)), vec![says(b"hello\n")]).await;
    assert_eq!(bare.words(), "mismatch: 200 (no status line), but it has no header X-Health");
}

#[tokio::test(start_paused = true)]
async fn so_much_of_a_body_is_looked_at_as_is_said() {
    for (max_body, expected) in [
        (4, "mismatch: 200 OK, but nothing in the 4 bytes of the body matches the pattern"),
        (5, "200 OK"),
    ] {
        let http = HttpSettings { max_body, ..HttpSettings::default() };
        let asked = Negotiate { http, ..negotiate("http://192.0.2.1:8080/", "hello") };
        let answer = says_and_hangs(b"HTTP/1.1 200 OK\r\n\r\nhello, world");
        assert_eq!(converse(&spec(asked), vec![answer]).await.words(), expected);
    }
    let mut turns = says(b"HTTP/1.1 200 OK\r\n\r\n");
    turns.extend(vec![Turn::Say(vec![b'x'; 1 << 20]); 2]);
    turns.push(Turn::Say(b"world".to_vec()));
    let http = HttpSettings { max_body: (2 << 20) + 5, ..HttpSettings::default() };
    let asked = Negotiate { http, ..negotiate("http://192.0.2.1:8080/", "world") };
    assert_eq!(converse(&spec(asked), vec![turns]).await.words(), "200 OK");
}

#[tokio::test(start_paused = true)]
async fn secrets_that_a_server_repeats_are_not_told() {
    let mut asked = negotiate("http://web:hunter2@192.0.2.1:8080/", "");
    let value = Secret("Bearer t0ken1".to_owned());
    asked.http.headers = vec![HttpHeader { name: "X-Key".to_owned(), value }];
    for (answer, expected) in [
        (
            &b"HTTP/1.1 401 not d2ViOmh1bnRlcjI= nor t0ken1\r\n\r\n"[..],
            "denied: 401 not *** nor ***; with the Authorization that was sent",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: ftp://web:hunter2@x/\x1b\r\n\r\n",
            "protocol: 302 Found, but cannot follow it to ftp://web:***@x/\\u{1b}: \
             not a whole http or https URL",
        ),
    ] {
        let outcome = converse(&spec(asked.clone()), vec![says(answer)]).await;
        assert_eq!(outcome.words(), expected);
        let received = String::from_utf8(outcome.trace.received).unwrap();
        assert!(!received.contains("t0ken1") && !received.contains("hunter2"), "{received}");
    }
}
