//! Has a process ask, and judges what it found.

use std::{
    io,
    path::Path,
    sync::{Arc, LazyLock},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
    sync::Semaphore,
    time::{timeout, timeout_at},
};

use super::apart::{Answer, Order, WORD};
use crate::{
    checks::{
        Question,
        child::Running,
        external::{cannot_run, with_output},
        failure,
        link::Link,
        sql, text,
    },
    model::{Failure, Reason, Secret, Verdict},
};

/// How many processes ask at once: so many that no database which answers waits for others that do not.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(512)));

/// Our own program, also when another has come in the place of its file.
const OURSELVES: &str = "/proc/self/exe";

/// Whom the process is for, in process lists.
const NAME: &str = "ldirectord";

/// How much of an answer is read, in bytes.
const ANSWER: u64 = 64 * 1024;

/// The longest name of an instance, in bytes.
const SID: usize = 64;

pub(super) async fn talk(question: &Question<'_>, link: &mut Link<'_>) -> Verdict {
    let order = order(question)?;
    link.wait_elsewhere();
    let end = link.deadline().deadline();
    match timeout_at(end, ask(&order)).await {
        Ok(found) => sql::judge(found?),
        Err(_elapsed) => Err(link.timeout()),
    }
}

/// What to ask, if enough is said for it.
fn order(question: &Question<'_>) -> Result<Order, Failure> {
    let negotiate = question.negotiate;
    let statement = sql::statement(negotiate)?;
    let (sid, passwd) = (&negotiate.database, &negotiate.passwd.0);
    let is_sid = |byte: u8| byte.is_ascii_alphanumeric() || b"_$#.-".contains(&byte);
    let fault = if passwd.is_empty() {
        "there is no `passwd` to ask the database with"
    } else if sid.is_empty() {
        "there is no `database`, the SID of the instance"
    } else if sid.len() > SID || !sid.bytes().all(is_sid) {
        "`database` is no SID of an instance"
    } else {
        return Ok(Order {
            target: question.check.target,
            timeout: question.check.timeout,
            sid: sid.clone(),
            login: negotiate.login.clone(),
            passwd: passwd.clone(),
            statement: statement.to_owned(),
        });
    };
    Err(failure(Reason::Protocol, fault))
}

/// Has a process ask; whether there was a row.
async fn ask(order: &Order) -> Result<bool, Failure> {
    let ourselves = Path::new(OURSELVES);
    let broken = |error: &io::Error| cannot_run(ourselves, error);
    let slot = Arc::clone(&SLOTS).acquire_owned().await;
    let slot = slot.map_err(|error| failure(Reason::Internal, error.to_string()))?;
    let mut command = Command::new(ourselves);
    // The driver would take settings from the environment, and one of them prints what is sent.
    command.arg0(NAME).arg(WORD).env_clear();
    let (mut running, mut socket) =
        Running::with_socket(&mut command, slot).map_err(|error| broken(&error))?;
    let text = serde_json::to_vec(order).map_err(|error| broken(&error.into()))?;
    let heard = running.output.hear_during(exchange(&mut socket, &text)).await;
    let answer = heard.ok().and_then(|heard| serde_json::from_slice(&heard).ok());
    if answer.is_some() {
        // It takes its leave.
        timeout(2 * sql::FAREWELL, running.finish()).await.ok();
    }
    match answer {
        Some(Answer::Row(found)) => Ok(found),
        Some(Answer::Fault { reason, detail }) => {
            let detail = text::shown(detail.as_bytes(), &Secret(order.passwd.clone()));
            Err(failure(reason.into(), detail))
        }
        None => {
            let status = running.finish_all().await.map_err(|error| broken(&error))?;
            let fault = format!("what {} sent ended the driver ({status})", order.target);
            Err(failure(Reason::Protocol, with_output(&fault, running.output.kept())))
        }
    }
}

/// Sends a question and reads the answer to its end.
async fn exchange(socket: &mut UnixStream, question: &[u8]) -> io::Result<Vec<u8>> {
    socket.write_all(question).await?;
    socket.shutdown().await?;
    let mut answer = Vec::new();
    socket.take(ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}
