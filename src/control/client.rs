//! The half of those who ask: a connection, a question, an answer, all within a time.

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::protocol::{Answer, Ask, LONGEST_ANSWER, Request};

/// How long the daemon may take to take a request, and between the parts of its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub struct AskError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    NotUnderstood(String),
    Refused { message: String, hint: Option<String> },
}

impl AskError {
    /// Whether no daemon listens there, or none any more.
    pub fn is_absent(&self) -> bool {
        let absent = [
            io::ErrorKind::NotFound,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::BrokenPipe,
        ];
        matches!(&self.why, Why::Io(error) if absent.contains(&error.kind()))
    }
}

/// The sentence, and the hint on a line of its own.
impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "cannot ask the daemon at {path}: permission denied (EACCES)\nhint: only root may ask"
                )
            }
            Why::Io(error)
                if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) =>
            {
                write!(f, "the daemon at {path} does not answer within {} s", PATIENCE.as_secs())
            }
            Why::Io(error) => write!(f, "cannot ask the daemon at {path}: {error}"),
            Why::NotUnderstood(why) => {
                write!(f, "the daemon at {path} says what this program does not understand: {why}")
            }
            Why::Refused { message, hint } => {
                write!(f, "the daemon at {path} answers: {message}")?;
                hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
            }
        }
    }
}

impl std::error::Error for AskError {}

/// Asks the daemon that listens at this path.
pub fn ask(path: &Path, ask: Ask) -> Result<Answer, AskError> {
    let error = |why| AskError { path: path.to_owned(), why };
    let line = exchange(path, ask).map_err(|io| error(Why::Io(io)))?;
    match serde_json::from_slice(&line) {
        Ok(Answer::Error { message, hint }) => Err(error(Why::Refused { message, hint })),
        Ok(answer) => Ok(answer),
        Err(why) => Err(error(Why::NotUnderstood(why.to_string()))),
    }
}

fn exchange(path: &Path, ask: Ask) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = serde_json::to_vec(&Request::new(ask))?;
    request.push(b'\n');
    stream.write_all(&request)?;
    let limit = u64::try_from(LONGEST_ANSWER).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    BufReader::new(stream.take(limit)).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer breaks off"));
    }
    Ok(line)
}
