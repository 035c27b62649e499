//! `service=pgsql`: PostgreSQL's protocol 3.0 (its manual, "Frontend/Backend Protocol"), spoken by tokio-postgres.
//!
//! | we say | we expect |
//! |---|---|
//! | `login`, `database` | that a password is asked for, or none is |
//! | `passwd`, in the way that is asked for: SCRAM, MD5, plain | that the login is accepted |
//! | the statement of `request` | a row |
//!
//! Without `database` it is the one with the name of the login. `request` may be several statements, of which any may
//! yield the row. What follows the first row is not read to its end when it is long.
//!
//! TLS is not spoken: a server that accepts the login over TLS only refuses it, and says so.
//!
//! Differs from ldirectord: the statement is run once, not twice, and its first row decides.
//! Differs from ldirectord: a server that hangs fails at the timeout, and nothing needs to be installed.

use std::{error::Error as _, io, pin::pin};

use futures_util::{FutureExt, TryStreamExt};
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage, config::SslMode, error::SqlState};

use super::{Protocol, Question, failure, link::Link, sql};
use crate::model::{Carrier, Failure, ProtocolInfo, Reason, Verdict};

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "pgsql",
        default_port: Some(5432),
        carrier: Carrier::Tcp,
        directives: &["request", "login", "passwd", "database"],
        doc: "Logs in to PostgreSQL with `login` and `passwd`, to `database` or else the one of that name, and runs \
              the statement of `request`. The real server works when it yields a row. TLS is not spoken.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let statement = sql::statement(question.negotiate)?;
    match ask(question, link, statement).await? {
        Ok(has_row) => sql::judge(has_row),
        Err(error) => Err(fault(&error, question, link)),
    }
}

/// Whether the statement yields a row.
async fn ask(
    question: &Question<'_>,
    link: &mut Link<'_>,
    statement: &str,
) -> Result<Result<bool, tokio_postgres::Error>, Failure> {
    let negotiate = question.negotiate;
    let mut config = Config::new();
    config
        .user(&negotiate.login)
        .password(&negotiate.passwd.0)
        .application_name("ldirectord")
        .ssl_mode(SslMode::Disable);
    if !negotiate.database.is_empty() {
        config.dbname(&negotiate.database);
    }
    let stream = link.stream(sql::LIMIT).await?;
    let (client, connection) = match config.connect_raw(stream, NoTls).await {
        Ok(connected) => connected,
        Err(error) => return Ok(Err(error)),
    };
    let mut connection = pin!(connection);
    let mut asking = pin!(async move {
        let mut messages = pin!(client.simple_query_raw(statement).await?);
        while let Some(message) = messages.try_next().await? {
            if let SimpleQueryMessage::Row(_) = message {
                return Ok(true);
            }
        }
        Ok(false)
    });
    let asked = tokio::select! {
        biased;
        // What is wrong with the connection is known here only. A row may have come before.
        Err(error) = &mut connection => (&mut asking).now_or_never().unwrap_or(Err(error)),
        asked = &mut asking => asked,
    };
    if asked.is_ok() {
        // However it ends: what we wanted to know, we know.
        timeout(sql::FAREWELL, connection).await.ok();
    }
    Ok(asked)
}

/// What an error says about the server.
fn fault(error: &tokio_postgres::Error, question: &Question<'_>, link: &Link<'_>) -> Failure {
    let peer = question.check.target;
    if let Some(said) = error.as_db_error() {
        let is_denied = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION]
            .contains(said.code());
        let reason = if is_denied { Reason::Denied } else { Reason::Protocol };
        let [words, code] = [said.message(), said.code().code()]
            .map(|text| sql::words(&link.starred(text.as_bytes())));
        return failure(reason, format!("{peer} says: {words} ({code})"));
    }
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) if cause.raw_os_error().is_some() => link.broken("talk to", cause),
        Some(cause) if cause.kind() == io::ErrorKind::TimedOut => link.timeout(),
        Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => link.closed(),
        _ if error.is_closed() => link.closed(),
        _ => failure(
            Reason::Protocol,
            format!("{peer}: {}", sql::words(&link.starred(sql::chain(error).as_bytes()))),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::script::{Outcome, Turn, converse, spec, unconfigured},
        *,
    };
    use crate::model::{CheckSpec, Negotiate, Secret};

    fn check(login: &str, request: &str) -> CheckSpec {
        spec(Negotiate {
            request: request.as_bytes().to_vec(),
            login: login.to_owned(),
            passwd: Secret("sesame".to_owned()),
            database: "shop".to_owned(),
            ..unconfigured("pgsql")
        })
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    const LOGIN: &str = "application_name\0ldirectord\0\0";
    const QUERY: &str = "select 1\0";

    fn accepted() -> Vec<u8> {
        [message(b'R', &[0; 4]), message(b'S', b"server_version\x0015\0"), message(b'Z', b"I")]
            .concat()
    }

    fn error(code: &str, text: &str) -> Vec<u8> {
        message(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{text}\0\0").as_bytes())
    }

    fn columns() -> Vec<u8> {
        message(b'T', b"\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0")
    }

    fn row() -> Vec<u8> {
        message(b'D', b"\0\x01\0\0\0\x011")
    }

    fn end() -> Vec<u8> {
        [message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()
    }

    async fn talk_with(turns: Vec<Turn>) -> Outcome {
        converse(&check("monitor", "/select 1"), vec![turns]).await
    }

    /// What comes of this answer to the statement.
    async fn answered(answer: Vec<u8>) -> Outcome {
        talk_with(vec![
            Turn::Hear(LOGIN),
            Turn::Say(accepted()),
            Turn::Hear(QUERY),
            Turn::Say(answer),
            Turn::Hear("X\0\0\0\x04"),
        ])
        .await
    }

    /// What comes of this answer to the login.
    async fn greeted(answer: Vec<u8>) -> Verdict {
        talk_with(vec![Turn::Hear(LOGIN), Turn::Say(answer)]).await.verdict
    }

    fn is(verdict: &Verdict, reason: Reason, detail: &str) {
        let fault = verdict.as_ref().unwrap_err();
        assert_eq!((fault.reason, fault.detail.as_str()), (reason, detail));
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_is_what_is_asked_for() {
        let outcome = answered([columns(), row(), end()].concat()).await;
        assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
        let heard = &outcome.heard[0];
        assert!(
            heard.contains("user\0monitor\0") && heard.contains("database\0shop\0"),
            "{heard:?}"
        );
        assert_eq!(heard.matches(QUERY).count(), 1, "{heard:?}");
        assert!(outcome.took.is_zero(), "the farewell was sent: {:?}", outcome.took);
        let outcome = answered([columns(), end()].concat()).await;
        is(&outcome.verdict, Reason::Mismatch, "the statement yields no row");
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_the_first_row_is_not_waited_for() {
        let outcome = answered([columns(), row()].concat()).await;
        assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
        assert!(outcome.took < Duration::from_secs(1), "{:?}", outcome.took);
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_is_given_when_it_is_asked_for() {
        let outcome = talk_with(vec![
            Turn::Hear(LOGIN),
            Turn::Say(message(b'R', &[0, 0, 0, 3])),
            Turn::Hear("sesame\0"),
            Turn::Say(accepted()),
            Turn::Hear(QUERY),
            Turn::Say([columns(), row(), end()].concat()),
        ])
        .await;
        assert!(outcome.verdict.is_ok(), "{:?}", outcome.verdict);
        let verdict = greeted(error("28P01", "password authentication failed")).await;
        let detail = "192.0.2.1:8080 says: password authentication failed (28P01)";
        is(&verdict, Reason::Denied, detail);
        let verdict = greeted(error("28P01", "it is not sesame")).await;
        is(&verdict, Reason::Denied, "192.0.2.1:8080 says: it is not *** (28P01)");
        let verdict = greeted(error("28000", "no entry for host, no encryption")).await;
        is(
            &verdict,
            Reason::Denied,
            "192.0.2.1:8080 says: no entry for host, no encryption (28000)",
        );
        // Kerberos.
        let verdict = greeted(message(b'R', &[0, 0, 0, 2])).await;
        assert_eq!(verdict.unwrap_err().reason, Reason::Protocol);
    }

    #[tokio::test(start_paused = true)]
    async fn the_words_of_the_server_are_told() {
        let verdict = greeted(error("57P03", "the database system\nis starting up")).await;
        let detail = "192.0.2.1:8080 says: the database system is starting up (57P03)";
        is(&verdict, Reason::Protocol, detail);
        let fault = [error("42P01", "no relation \"x\""), message(b'Z', b"I")].concat();
        let verdict = answered(fault).await.verdict;
        is(&verdict, Reason::Protocol, "192.0.2.1:8080 says: no relation \"x\" (42P01)");
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_break_off_or_lie_fail() {
        let closed = "192.0.2.1:8080 closed the connection without an answer";
        is(&greeted(Vec::new()).await, Reason::Reset, closed);
        is(
            &greeted(b"R\0".to_vec()).await,
            Reason::Protocol,
            "192.0.2.1:8080: error communicating with the server: bytes remaining on stream",
        );
        let heard = [Turn::Hear(LOGIN), Turn::Say(accepted()), Turn::Hear(QUERY)];
        is(&talk_with(heard.to_vec()).await.verdict, Reason::Reset, closed);
        // Lengths that are too short, and one that is never filled.
        assert_eq!(greeted(b"R\0\0\0\x01".to_vec()).await.unwrap_err().reason, Reason::Protocol);
        let turns = vec![Turn::Hear(LOGIN), Turn::Say(b"R\x7f\xff\xff\xff\0".to_vec()), Turn::Hang];
        let outcome = talk_with(turns).await;
        let detail = "no complete answer from 192.0.2.1:8080 within 5s, only 6 bytes of one";
        is(&outcome.verdict, Reason::Timeout, detail);
        assert_eq!(outcome.took, Duration::from_secs(5));
        let endless = vec![b'x'; 2 << 20];
        let verdict = greeted([b"R\x7f\xff\xff\xff".to_vec(), endless].concat()).await;
        let detail =
            "192.0.2.1:8080: error communicating with the server: it sent more than 1048576 bytes";
        is(&verdict, Reason::Protocol, detail);
    }

    #[tokio::test(start_paused = true)]
    async fn without_login_or_request_nobody_is_asked() {
        for (login, request, detail) in [
            ("", "/select 1", "there is no `login` to ask the database with"),
            ("monitor", "/", "there is no `request`, the statement to run"),
        ] {
            let outcome = converse(&check(login, request), vec![]).await;
            is(&outcome.verdict, Reason::Protocol, detail);
            assert!(outcome.visited.is_empty());
        }
    }
}
