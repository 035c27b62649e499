//! `service=mysql`: the protocol of MySQL and MariaDB, version 10 (MySQL's "Client/Server Protocol").
//!
//! | we say | we expect |
//! |---|---|
//! | | a greeting |
//! | `login`, `passwd` as a hash, `database` | that the login is accepted, or another way to log in is asked for |
//! | the statement of `request` (`COM_QUERY`) | a row |
//! | that we go (`COM_QUIT`) | |
//!
//! Logins are those of `mysql_native_password` and `caching_sha2_password`. The latter wants the password itself when the
//! server has not seen it since it was started: it is sent encrypted with the key that the server names.
//! What follows the first row is not read to its end when it is long.
//!
//! TLS is not spoken: a server that accepts the login over TLS only refuses it, MariaDB as if the password were wrong.
//! No file is ever sent.
//!
//! Our own reader and not a library's: `mysql_async` makes its own connections, reserves memory for as many columns as
//! a server says it has, which ends the process, and goes on reading when it is dropped.
//!
//! Differs from ldirectord: the statement is run once, not twice, and its first row decides.
//! Differs from ldirectord: other ways to log in that its library has plugins for, such as MariaDB's ed25519, are denied.
//! Differs from ldirectord: a server that hangs fails at the timeout, and nothing needs to be installed.

mod login;
mod packet;
#[cfg(test)]
mod tests;

use tokio::time::timeout;

use self::{login::Greeting, packet::Packets};
use super::{Protocol, Question, failure, link::Link, sql};
use crate::model::{Carrier, Failure, Negotiate, ProtocolInfo, Reason, Verdict};

/// The most columns that a result has.
const COLUMNS: u64 = 4096;

/// How often a server may ask for more before it accepts a login.
const STEPS: usize = 8;

pub(super) const PROTOCOLS: &[Protocol] = &[Protocol {
    info: ProtocolInfo {
        name: "mysql",
        default_port: Some(3306),
        carrier: Carrier::Tcp,
        directives: &["request", "login", "passwd", "database"],
        doc: "Logs in to MySQL or MariaDB with `login` and `passwd`, selects `database` if there is one, and runs the \
              statement of `request`. The real server works when it yields a row. TLS is not spoken.",
    },
    talk: |question, link| Box::pin(talk(question, link)),
}];

async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let statement = sql::statement(question.negotiate)?;
    let mut packets = Packets::new(link, question.check.target);
    log_in(question.negotiate, &mut packets).await?;
    let answer = ask(statement, &mut packets).await;
    if let Ok(_) | Err(Failure { reason: Reason::Protocol | Reason::Denied, .. }) = answer {
        // However it ends: what we wanted to know, we know.
        timeout(sql::FAREWELL, leave(&mut packets, answer == Ok(Answer::Row))).await.ok();
    }
    sql::judge(answer? == Answer::Row)
}

async fn log_in(negotiate: &Negotiate, packets: &mut Packets<'_, '_>) -> Result<(), Failure> {
    let greeting = packets.read().await?;
    let greeting = Greeting::parse(&greeting).ok_or_else(|| packets.odd("a greeting"))?;
    let mut nonce = greeting.nonce.clone();
    packets.write(&greeting.answer(negotiate)).await?;
    let password = negotiate.passwd.0.as_bytes();
    for _ in 0..STEPS {
        let packet = packets.read().await?;
        match packet.split_first() {
            Some((0x00, _)) => return Ok(()),
            Some((0xfe, rest)) => {
                let (plugin, data) = login::another(rest);
                nonce = data.to_vec();
                let hash = login::hash(plugin, password, &nonce).ok_or_else(|| {
                    let plugin = sql::words(&packets.starred(plugin));
                    packets.fault(
                        Reason::Denied,
                        &format!("wants a login by `{plugin}`, which is not known here"),
                    )
                })?;
                packets.write(&hash).await?;
            }
            // It knows the password already.
            Some((0x01, [0x03])) => {}
            Some((0x01, [0x04])) => packets.write(&[0x02]).await?,
            Some((0x01, key)) => {
                let encrypted = login::encrypt(password, &nonce, key).map_err(|error| {
                    packets.fault(
                        Reason::Protocol,
                        &format!("sent a key that cannot be used: {error}"),
                    )
                })?;
                packets.write(&encrypted).await?;
            }
            _ => return Err(packets.odd("an answer to the login")),
        }
    }
    Err(packets.odd("the end of the login"))
}

/// What came of the statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A row; more may follow.
    Row,
    /// No row, and nothing more.
    Nothing,
}

async fn ask(statement: &str, packets: &mut Packets<'_, '_>) -> Result<Answer, Failure> {
    packets.command(0x03, statement.as_bytes()).await?;
    let head = packets.read().await?;
    let columns = match head.split_first() {
        Some((0x00, _)) => return Ok(Answer::Nothing),
        Some((0xfb, _)) => {
            return Err(
                packets.fault(Reason::Protocol, "wants a file of ours, which it does not get")
            );
        }
        _ => packet::number(&head).filter(|columns| (1..=COLUMNS).contains(columns)),
    };
    for _ in 0..columns.ok_or_else(|| packets.odd("an answer to the statement"))? {
        packets.read().await?;
    }
    if !packet::is_end(&packets.read().await?) {
        return Err(packets.odd("the end of the columns"));
    }
    match packets.next_is_row().await? {
        true => Ok(Answer::Row),
        false => Ok(Answer::Nothing),
    }
}

/// Goes as a server likes it, which else logs that a connection was aborted.
async fn leave(packets: &mut Packets<'_, '_>, has_rows: bool) -> Result<(), Failure> {
    if has_rows {
        while packets.next_is_row().await? {
            packets.skip().await?;
        }
    }
    packets.command(0x01, b"").await?;
    packets.until_closed().await
}
