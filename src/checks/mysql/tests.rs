use std::time::Duration;

use openssl::{encrypt::Decrypter, pkey::PKey, rsa::Padding, rsa::Rsa};

use super::{
    super::script::{Outcome, Turn, converse, spec, unconfigured},
    *,
};
use crate::model::{CheckSpec, Secret};

fn check(login: &str, request: &str) -> CheckSpec {
    spec(Negotiate {
        request: request.as_bytes().to_vec(),
        login: login.to_owned(),
        passwd: Secret("sesame".to_owned()),
        database: "shop".to_owned(),
        ..unconfigured("mysql")
    })
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[low, middle, high, number][..], payload].concat()
}

const NONCE: &[u8] = b"12345678abcdefghijkl";

fn greeting(plugin: &[u8]) -> Vec<u8> {
    let about = [&[0, 0xff, 0xff, 33, 2, 0, 0xff, 0xff, 21][..], &[0; 10]].concat();
    let parts = [b"\x0a8.0.1\0\x01\0\0\0", &NONCE[..8], &about, &NONCE[8..], b"\0", plugin, b"\0"];
    packet(0, &parts.concat())
}

const OK: &[u8] = b"\0\0\0\x02\0\0\0";
const END: &[u8] = b"\xfe\0\0\x02\0";
const QUERY: &str = "\x09\0\0\0\x03select 1";
const QUIT: &str = "\x01\0\0\0\x01";

fn error(number: u8, code: u16, text: &str) -> Vec<u8> {
    packet(number, &[&[0xff][..], &code.to_le_bytes(), text.as_bytes()].concat())
}

/// The answer to a statement with these rows.
fn rows(rows: &[&[u8]]) -> Vec<u8> {
    let mut packets = vec![&b"\x01"[..], b"\x03def a column", END];
    packets.extend(rows);
    packets.push(END);
    let numbered = packets.iter().zip(1..).map(|(payload, number)| packet(number, payload));
    numbered.collect::<Vec<_>>().concat()
}

async fn talk_with(turns: Vec<Turn>) -> Outcome {
    converse(&check("monitor", "/select 1"), vec![turns]).await
}

/// What comes of this answer to the statement.
async fn answered(answer: Vec<u8>) -> Outcome {
    talk_with(vec![
        Turn::Say(greeting(b"mysql_native_password")),
        Turn::Hear("shop\0mysql_native_password\0"),
        Turn::Say(packet(2, OK)),
        Turn::Hear(QUERY),
        Turn::Say(answer),
        Turn::Hear(QUIT),
    ])
    .await
}

/// What comes of these turns after the greeting.
async fn greeted(turns: &[Turn]) -> Outcome {
    let mut all = vec![
        Turn::Say(greeting(b"caching_sha2_password")),
        Turn::Hear("shop\0caching_sha2_password\0"),
    ];
    all.extend_from_slice(turns);
    talk_with(all).await
}

fn is(outcome: &Outcome, reason: Reason, detail: &str) {
    let fault = outcome.verdict.as_ref().unwrap_err();
    let detail = format!("192.0.2.1:8080 {detail}");
    assert_eq!((fault.reason, fault.detail.as_str()), (reason, detail.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_row_is_what_is_asked_for() {
    let outcome = answered(rows(&[b"\x011"])).await;
    assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
    assert!(outcome.took.is_zero(), "the farewell was sent: {:?}", outcome.took);
    let heard = &outcome.heard[0];
    assert!(heard.contains("monitor\0\x14") && !heard.contains("sesame"), "{heard:?}");
    assert_eq!(heard.matches("select 1").count(), 1, "{heard:?}");
    // NULL, an empty text, and one of sixteen million bytes, of which only the beginning comes.
    for row in [&b"\xfb"[..], b"\0", b"\x01\0"] {
        assert!(answered(rows(&[row, row])).await.verdict.is_ok(), "{row:?}");
    }
    let mut long = rows(&[]);
    long.truncate(long.len() - END.len() - 4);
    long.extend(b"\xff\xff\xff\x04\xfe\0\0\0\x01\0\0\0\0");
    let outcome = answered(long).await;
    assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
    assert!(outcome.took < Duration::from_secs(1), "{:?}", outcome.took);
}

#[tokio::test(start_paused = true)]
async fn no_row_is_a_failure() {
    for answer in [rows(&[]), packet(1, OK)] {
        let fault = answered(answer).await.verdict.unwrap_err();
        assert_eq!(
            (fault.reason, fault.detail.as_str()),
            (Reason::Mismatch, "the statement yields no row")
        );
    }
    let outcome = answered(error(1, 1146, "#42S02Table 'shop.x' doesn't\nexist")).await;
    is(&outcome, Reason::Protocol, "says: Table 'shop.x' doesn't exist (1146)");
    let mut late = rows(&[]);
    late.truncate(late.len() - END.len() - 4);
    late.extend(error(4, 1317, "#70100Query execution was interrupted"));
    is(&answered(late).await, Reason::Protocol, "says: Query execution was interrupted (1317)");
    let file = packet(1, b"\xfb/etc/shadow");
    is(&answered(file).await, Reason::Protocol, "wants a file of ours, which it does not get");
}

#[tokio::test(start_paused = true)]
async fn a_login_may_take_steps() {
    let statement = [Turn::Hear(QUERY), Turn::Say(rows(&[b"\x011"])), Turn::Hear(QUIT)];
    let known = [&[Turn::Say([packet(2, b"\x01\x03"), packet(3, OK)].concat())], &statement[..]];
    assert!(greeted(&known.concat()).await.verdict.is_ok());
    let key = Rsa::generate(2048).unwrap().public_key_to_pem().unwrap();
    let unknown = [
        Turn::Say(packet(2, b"\x01\x04")),
        Turn::Hear("\x01\0\0\x03\x02"),
        Turn::Say(packet(4, &[b"\x01", &key[..]].concat())),
        Turn::Wait(Duration::from_millis(1)),
        Turn::Say(packet(6, OK)),
    ];
    let outcome = greeted(&[&unknown, &statement[..]].concat()).await;
    assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
    assert!(!outcome.heard[0].contains("sesame"));
    let switch = packet(2, b"\xfemysql_native_password\0lkjihgfedcba87654321\0");
    let switched =
        [Turn::Say(switch), Turn::Wait(Duration::from_millis(1)), Turn::Say(packet(4, OK))];
    assert!(greeted(&[&switched, &statement[..]].concat()).await.verdict.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_refused_says_why() {
    let said = |bytes: Vec<u8>| [Turn::Say(bytes)];
    let outcome = greeted(&said(error(2, 1045, "#28000Access denied for user 'monitor'"))).await;
    is(&outcome, Reason::Denied, "says: Access denied for user 'monitor' (1045)");
    let outcome = greeted(&said(error(2, 1045, "#28000It is not sesame"))).await;
    is(&outcome, Reason::Denied, "says: It is not *** (1045)");
    for (asked, plugin) in [
        (&b"\xfemysql_clear_password\0"[..], "mysql_clear_password"),
        (b"\xfeclient_ed25519\0lkjihgfedcba87654321lkjihgfedcba", "client_ed25519"),
        (b"\xfe", "mysql_old_password"),
    ] {
        let outcome = greeted(&said(packet(2, asked))).await;
        let detail = format!("wants a login by `{plugin}`, which is not known here");
        is(&outcome, Reason::Denied, &detail);
    }
    let outcome = greeted(&said(packet(2, b"\x01no key"))).await;
    let fault = outcome.verdict.unwrap_err();
    assert!(fault.detail.starts_with("192.0.2.1:8080 sent a key that cannot be used"), "{fault}");
    let outcome = greeted(&said(packet(2, b"\x01\x03").repeat(20))).await;
    is(&outcome, Reason::Protocol, "sent something else than the end of the login");
    // Before the greeting there are no states.
    let outcome = talk_with(vec![Turn::Say(error(0, 1040, "Too many connections"))]).await;
    is(&outcome, Reason::Protocol, "says: Too many connections (1040)");
}

#[tokio::test(start_paused = true)]
async fn servers_that_break_off_or_lie_fail() {
    let closed = "closed the connection without an answer";
    is(&talk_with(vec![]).await, Reason::Reset, closed);
    is(&greeted(&[]).await, Reason::Reset, closed);
    let outcome = talk_with(vec![Turn::Say(greeting(b"")[..30].to_vec())]).await;
    is(&outcome, Reason::Reset, "closed the connection in the middle of a packet");
    let outcome = talk_with(vec![Turn::Say(packet(0, b"SSH-2.0"))]).await;
    is(&outcome, Reason::Protocol, "sent something else than a greeting");
    let outcome = talk_with(vec![Turn::Say(b"SSH-2.0-OpenSSH".to_vec())]).await;
    is(&outcome, Reason::Protocol, "sent a packet of 4739923 bytes, too long for this place");
    for empty in [packet(0, b""), packet(0, b"\xff"), packet(0, b"\xff\x01")] {
        assert_eq!(
            talk_with(vec![Turn::Say(empty)]).await.verdict.unwrap_err().reason,
            Reason::Protocol
        );
    }
    for columns in [&b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\xfc\x01\x10", b"\x01\0", b""] {
        let outcome = answered(packet(1, columns)).await;
        is(&outcome, Reason::Protocol, "sent something else than an answer to the statement");
    }
    let endless = [packet(1, b"\x01"), packet(2, b"\x03def").repeat(2)].concat();
    is(
        &answered(endless).await,
        Reason::Protocol,
        "sent something else than the end of the columns",
    );
    let empty = [packet(1, b"\x01"), packet(2, b"a"), packet(3, END), packet(4, b"")].concat();
    is(&answered(empty).await, Reason::Protocol, "sent something else than a row");
    let outcome = greeted(&[Turn::Hang]).await;
    let fault = outcome.verdict.unwrap_err();
    assert_eq!((fault.reason, outcome.took), (Reason::Timeout, Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn without_login_or_request_nobody_is_asked() {
    for (login, request, detail) in [
        ("", "/select 1", "there is no `login` to ask the database with"),
        ("monitor", "/", "there is no `request`, the statement to run"),
    ] {
        let outcome = converse(&check(login, request), vec![]).await;
        let fault = outcome.verdict.unwrap_err();
        assert_eq!((fault.reason, fault.detail.as_str()), (Reason::Protocol, detail));
        assert!(outcome.visited.is_empty());
    }
}

#[test]
fn passwords_are_hashed_as_servers_do_it() {
    // By Python's hashlib, from the formulas of the manual.
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hash =
        |plugin: &str, password: &str| login::hash(plugin.as_bytes(), password.as_bytes(), NONCE);
    let native = hash("mysql_native_password", "sesame").unwrap();
    assert_eq!(hex(native), "d1b949be93915491c8b2f4270d34cdbcf6388582");
    let sha2 = hash("caching_sha2_password", "sesame").unwrap();
    assert_eq!(hex(sha2), "d2b6366cb02cf18eefcba150a0bd0a94453253edc2793a0273aa4144acc33fe4");
    assert_eq!(hash("caching_sha2_password", ""), Some(Vec::new()));
    assert_eq!(hash("client_ed25519", "sesame"), None);
}

#[test]
fn a_password_is_encrypted_for_the_key_of_the_server() {
    let key = Rsa::generate(2048).unwrap();
    let encrypted = login::encrypt(b"sesame", NONCE, &key.public_key_to_pem().unwrap()).unwrap();
    let key = PKey::from_rsa(key).unwrap();
    let mut decrypter = Decrypter::new(&key).unwrap();
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
    let mut plain = vec![0; decrypter.decrypt_len(&encrypted).unwrap()];
    let length = decrypter.decrypt(&encrypted, &mut plain).unwrap();
    let plain: Vec<u8> =
        plain[..length].iter().zip(NONCE).map(|(byte, with)| byte ^ with).collect();
    assert_eq!(plain, b"sesame\0");
}

#[test]
fn greetings_are_read_as_far_as_they_go() {
    let whole = &greeting(b"caching_sha2_password")[4..];
    assert_eq!(Greeting::parse(whole).unwrap().nonce, NONCE);
    for end in 0..whole.len() - b"\0caching_sha2_password\0".len() {
        assert!(Greeting::parse(&whole[..end]).is_none(), "{end}");
    }
    assert!(Greeting::parse(b"\x095.0.1\0").is_none());
    assert!(Greeting::parse(&[10; 100]).is_none());
}

#[test]
fn numbers_are_read() {
    for (bytes, expected) in [
        (&b"\x01"[..], Some(1)),
        (b"\xfa", Some(250)),
        (b"\xfc\x00\x10", Some(4096)),
        (b"\xfd\0\0\x10", None),
        (b"\x01\x01", None),
        (b"", None),
    ] {
        assert_eq!(packet::number(bytes), expected, "{bytes:?}");
    }
}
