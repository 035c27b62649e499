//! [`Bounded`]: the connection of a link for a library that speaks the protocol.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use super::{Stream, Wait};
use crate::checks::recorder::Recorder;

/// The connection of a link, limited in time and in what is read.
pub(in crate::checks) struct Bounded<'l> {
    pub(super) stream: &'l mut Box<dyn Stream>,
    pub(super) wait: &'l mut Wait,
    pub(super) recorder: &'l Recorder,
    pub(super) deadline: Pin<&'l mut Sleep>,
    pub(super) limit: u64,
}

impl Bounded<'_> {
    /// What was done, or is still waited for unless the deadline has come.
    fn in_time<T>(
        &mut self,
        done: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() && self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl AsyncRead for Bounded<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut *self.stream).poll_read(context, buffer);
        ready!(self.in_time(read, context))?;
        let count = buffer.filled().len().saturating_sub(before);
        self.recorder.received(buffer.filled().get(before..).unwrap_or_default());
        let limit = self.limit;
        if let Wait::Receive(sum) = &mut *self.wait {
            *sum = sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if *sum > limit {
                let text = format!("it sent more than {limit} bytes");
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, text)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream).poll_write(context, bytes);
        self.in_time(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut *self.stream).poll_flush(context);
        self.in_time(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut *self.stream).poll_shutdown(context);
        self.in_time(closed, context)
    }
}
