//! TLS that begins in the middle of a connection, with scripted servers: what holds for every protocol that can do so.

use std::{
    pin::Pin,
    sync::{Arc, LazyLock},
    time::Duration,
};

use openssl::ssl::{Ssl, SslContext, SslVersion};
use rustls::ServerConfig;
use tokio_openssl::SslStream;
use tokio_rustls::TlsAcceptor;

use super::{
    Tls,
    tests::{BOTH, Files, Identity, NAME, old_context, parameters, server_config, trusting},
};
use crate::{
    checks::{
        link::Security,
        script::{Outcome, TARGET, TLS, Turn, converse_with, lines, spec, unconfigured},
    },
    model::{Negotiate, Phase, Reason, Secret, TlsEngine, TlsSettings},
};

const SECOND: Duration = Duration::from_secs(1);

/// The certificate of these servers.
static OWN: LazyLock<Identity> =
    LazyLock::new(|| Identity::self_signed(&parameters("own", &[NAME])));

/// A server of today goes over to TLS.
pub(in crate::checks) fn modern() -> Turn {
    static CONFIG: LazyLock<Arc<ServerConfig>> = LazyLock::new(|| server_config(&OWN, BOTH, None));
    Turn::StartTls(Arc::new(|stream| {
        Box::pin(async {
            let accepted = TlsAcceptor::from(Arc::clone(&CONFIG)).accept(stream).await;
            accepted.ok().map(|stream| Box::new(stream) as _)
        })
    }))
}

/// A server goes over to TLS 1.0.
fn old() -> Turn {
    static CONTEXT: LazyLock<SslContext> = LazyLock::new(|| {
        old_context(Some(&OWN), |builder| {
            builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
            builder.set_max_proto_version(Some(SslVersion::TLS1)).unwrap();
        })
    });
    Turn::StartTls(Arc::new(|stream| {
        Box::pin(async {
            let mut stream = SslStream::new(Ssl::new(&CONTEXT).unwrap(), stream).unwrap();
            let accepted = Pin::new(&mut stream).accept().await;
            accepted.ok().map(|()| Box::new(stream) as _)
        })
    }))
}

/// A protocol in which TLS can begin.
struct Dialogue {
    protocol: &'static str,
    /// What is said until the server has agreed, which is its last turn.
    before: Vec<Turn>,
    /// What is said over TLS.
    after: Vec<Turn>,
    /// What the server hears before, and after.
    heard: [Vec<u8>; 2],
}

impl Dialogue {
    fn of_lines(protocol: &'static str, before: &str, after: &str) -> Dialogue {
        let turns = |script: &str| {
            let mut turns = lines(script);
            turns.pop();
            turns
        };
        let heard = |script: &str| {
            let lines = script.lines().filter_map(|line| line.trim_start().strip_prefix("> "));
            lines.flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect()
        };
        Dialogue {
            protocol,
            before: turns(before),
            after: turns(after),
            heard: [heard(before), heard(after)],
        }
    }

    /// A server that goes over to TLS so, and then works.
    fn server(&self, start: Turn) -> Vec<Turn> {
        [self.before.clone(), vec![start], self.after.clone(), vec![Turn::Hang]].concat()
    }

    /// All that such a server hears.
    fn all(&self) -> Vec<u8> {
        [&self.heard[0], TLS.as_bytes(), &self.heard[1]].concat()
    }

    /// A server that has agreed and then does this.
    fn agreed(&self, then: Vec<Turn>) -> Vec<Turn> {
        [self.before.clone(), then].concat()
    }

    async fn ask(&self, tls: &Tls, settings: &TlsSettings, servers: Vec<Vec<Turn>>) -> Outcome {
        let negotiate = Negotiate {
            virtualhost: Some(format!("{NAME}:25")),
            login: "mrose".into(),
            passwd: Secret("tanstaaf".into()),
            tls: TlsSettings { start: true, ..settings.clone() },
            ..unconfigured(self.protocol)
        };
        converse_with(tls, &spec(negotiate), Vec::new(), servers).await
    }

    async fn once(&self, settings: &TlsSettings, server: Vec<Turn>) -> Outcome {
        self.ask(&Tls::default(), settings, vec![server]).await
    }
}

/// Each of them, with a login where there is one.
fn dialogues() -> [Dialogue; 5] {
    let smtp = |protocol| {
        Dialogue::of_lines(
            protocol,
            "< 220 mail.example.com
             > EHLO localhost.localdomain
             < 250-mail.example.com
             < 250-PIPELINING
             < 250 starttls
             > STARTTLS
             < 220 go",
            "> EHLO localhost.localdomain
             < 250 mail.example.com
             > QUIT
             < 221 bye",
        )
    };
    let imap = Dialogue::of_lines(
        "imap",
        "< * OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready
         > A0 STARTTLS
         < * OK wait
         < A0 OK go",
        "> A1 LOGIN \"mrose\" \"tanstaaf\"
         < A1 OK
         > A2 LOGOUT
         < * BYE",
    );
    let pop = Dialogue::of_lines(
        "pop",
        "< +OK ready <1896.697170952@dbc.mtview.ca.us>
         > STLS
         < +OK go",
        "> USER mrose
         < +OK
         > PASS tanstaaf
         < +OK
         > STAT
         < +OK 0 0
         > QUIT
         < +OK",
    );
    // As RFC 4511 has it, byte by byte.
    let say = |bytes: &[u8]| Turn::Say(bytes.to_vec());
    let ldap = Dialogue {
        protocol: "ldap",
        before: vec![
            Turn::Hear("1.3.6.1.4.1.1466.20037"),
            say(b"\x30\x0c\x02\x01\x04\x78\x07\x0a\x01\x00\x04\x00\x04\x00"),
        ],
        after: vec![
            Turn::Hear("tanstaaf"),
            say(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"),
            Turn::Hear("1.1"),
            say(b"\x30\x09\x02\x01\x02\x64\x04\x04\x00\x30\x00"),
            say(b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00"),
            Turn::HearSome,
        ],
        heard: [
            b"\x30\x1d\x02\x01\x04\x77\x18\x80\x161.3.6.1.4.1.1466.20037".to_vec(),
            [
                &b"\x30\x19\x02\x01\x01\x60\x14\x02\x01\x03\x04\x05mrose\x80\x08tanstaaf"[..],
                b"\x30\x2a\x02\x01\x02\x63\x25\x04\x00\x0a\x01\x00\x0a\x01\x02\x02\x01\x00\x02\x01\x00",
                b"\x01\x01\x00\x87\x0bobjectClass\x30\x05\x04\x031.1\x30\x05\x02\x01\x03\x42\x00",
            ]
            .concat(),
        ],
    };
    [smtp("smtp"), smtp("submission"), imap, pop, ldap]
}

fn verifying(files: &Files) -> TlsSettings {
    trusting(files.write("own.pem", OWN.pem()))
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_asked_over_tls() {
    let files = Files::new();
    for engine in [TlsEngine::Auto, TlsEngine::Rustls, TlsEngine::Openssl] {
        for settings in [TlsSettings::default(), verifying(&files)] {
            for dialogue in dialogues() {
                let settings = TlsSettings { engine, ..settings.clone() };
                let outcome = dialogue.once(&settings, dialogue.server(modern())).await;
                assert!(outcome.verdict.is_ok(), "{} {}", dialogue.protocol, outcome.words());
                assert_eq!(outcome.bytes, [dialogue.all()], "{}", dialogue.protocol);
                assert!(outcome.trace.certificate_end.is_some());
                let to = (TARGET.parse().unwrap(), Security::Tls(Some(NAME.into())));
                assert_eq!(outcome.visited, [to]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_believed_ends_it() {
    let files = Files::new();
    let named = TlsSettings { name: Some("a.example".into()), ..verifying(&files) };
    for engine in [TlsEngine::Auto, TlsEngine::Openssl] {
        for dialogue in dialogues() {
            let settings = TlsSettings { engine, ..named.clone() };
            let outcome = dialogue.once(&settings, dialogue.server(modern())).await;
            assert_eq!(
                outcome.words(),
                "tls: no TLS with 192.0.2.1:8080: the certificate is not for a.example but for www.example.com; \
                 set tlsname to the name it should have"
            );
            assert!(!outcome.heard[0].contains("tanstaaf"), "{:?}", outcome.heard);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_in_the_clear_behind_the_agreement_is_not_believed() {
    for dialogue in dialogues() {
        let mut server = dialogue.server(modern());
        let agreement = dialogue.before.len() - 1;
        let Turn::Say(said) = &mut server[agreement] else { panic!("the server agrees last") };
        // What the server would say next.
        let more: &[u8] = match dialogue.protocol {
            "imap" => b"A1 OK\r\n",
            "pop" => b"+OK\r\n",
            "ldap" => b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
            _ => b"250 mail.example.com\r\n",
        };
        said.extend(more);
        let outcome = dialogue.once(&TlsSettings::default(), server).await;
        assert_eq!(
            outcome.words(),
            "protocol: 192.0.2.1:8080 said more in the clear after it had agreed to begin TLS"
        );
        assert_eq!(outcome.bytes, [dialogue.heard[0].clone()]);

        // It comes later, where the handshake should.
        let late = vec![Turn::Wait(SECOND), Turn::Say(more.to_vec()), Turn::Hang];
        let outcome = dialogue.once(&TlsSettings::default(), dialogue.agreed(late)).await;
        let fault = outcome.verdict.unwrap_err();
        assert_eq!(fault.reason, Reason::Tls, "{}: {fault}", dialogue.protocol);
        assert!(!outcome.heard[0].contains("tanstaaf"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_server_is_asked_once_more_from_the_start_and_remembered() {
    let files = Files::new();
    for dialogue in dialogues() {
        for settings in [TlsSettings::default(), verifying(&files)] {
            let tls = Tls::default();
            // To rustls it says no, and closes.
            let refused = || dialogue.agreed(vec![old()]);
            let works = || dialogue.server(old());
            let outcome = dialogue.ask(&tls, &settings, vec![refused(), works()]).await;
            assert!(outcome.verdict.is_ok(), "{} {}", dialogue.protocol, outcome.words());
            let first = &outcome.bytes[0];
            assert!(first.starts_with(&dialogue.heard[0]), "{:?}", outcome.heard);
            assert!(!outcome.heard[0].contains(TLS), "{:?}", outcome.heard);
            assert_eq!(outcome.bytes[1], dialogue.all());

            let outcome = dialogue.ask(&tls, &settings, vec![works(), works()]).await;
            assert!(outcome.verdict.is_ok(), "{} {}", dialogue.protocol, outcome.words());
            assert_eq!(outcome.visited.len(), 1);

            // OpenSSL too fails with it, so the next attempt begins with rustls again.
            let broken = dialogue.agreed(vec![Turn::HearSome]);
            let outcome = dialogue.ask(&tls, &settings, vec![broken, works()]).await;
            assert!(outcome.verdict.is_err());
            assert_eq!(outcome.visited.len(), 1);
            let outcome = dialogue.ask(&tls, &settings, vec![refused(), works()]).await;
            assert!(outcome.verdict.is_ok(), "{} {}", dialogue.protocol, outcome.words());
            assert_eq!(outcome.visited.len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_chosen_is_asked_once() {
    for dialogue in dialogues() {
        let by = |engine| TlsSettings { engine, ..TlsSettings::default() };
        let both = || vec![dialogue.server(old()), dialogue.server(old())];
        let tls = Tls::default();
        let outcome = dialogue.ask(&tls, &by(TlsEngine::Rustls), both()).await;
        assert_eq!(outcome.verdict.unwrap_err().reason, Reason::Tls);
        assert_eq!(outcome.visited.len(), 1);
        let outcome = dialogue.ask(&tls, &by(TlsEngine::Openssl), both()).await;
        assert!(outcome.verdict.is_ok(), "{} {}", dialogue.protocol, outcome.words());
        assert_eq!(outcome.visited.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_of_the_first_handshake_is_told_when_the_second_does_not_come() {
    for dialogue in dialogues() {
        let first = dialogue.agreed(vec![Turn::HearSome]);
        let seconds = [
            ("closes again", dialogue.agreed(vec![Turn::HearSome])),
            ("closes at once", vec![]),
            ("talks nonsense", vec![Turn::Say(b"nonsense\r\n".to_vec()), Turn::Hang]),
        ];
        for (case, second) in seconds {
            let servers = vec![first.clone(), second];
            let outcome = dialogue.ask(&Tls::default(), &TlsSettings::default(), servers).await;
            let expected = "reset: 192.0.2.1:8080 broke the connection off in the TLS handshake";
            assert_eq!(outcome.words(), expected, "{} {case}", dialogue.protocol);
            assert_eq!(outcome.visited.len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_of_it_ends_at_one_deadline() {
    for dialogue in dialogues() {
        let slow = |then| [vec![Turn::Wait(3 * SECOND)], dialogue.agreed(then)].concat();
        let servers = vec![slow(vec![old()]), slow(vec![old(), Turn::Hang])];
        let outcome = dialogue.ask(&Tls::default(), &TlsSettings::default(), servers).await;
        assert_eq!(outcome.words(), "timeout: no answer from 192.0.2.1:8080 within 5s");
        assert_eq!((outcome.took, outcome.visited.len()), (5 * SECOND, 2));

        let silent = dialogue.agreed(vec![Turn::Hang]);
        let outcome = dialogue.once(&TlsSettings::default(), silent).await;
        assert_eq!(outcome.words(), "timeout: no TLS handshake with 192.0.2.1:8080 within 5s");
        assert_eq!((outcome.took, outcome.trace.phase), (5 * SECOND, Phase::Tls));
    }
}
