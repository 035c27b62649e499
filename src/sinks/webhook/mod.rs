//! Webhooks: a POST over HTTP with JSON, signed if there is a secret.
//!
//! Redirections are not followed: who gets what we have to tell, and the signature, is the operator's choice. Proxies of
//! the environment are not asked, because a daemon's environment is nobody's configuration. Of an answer the status and
//! `Retry-After` count; its body is not read.
//!
//! The signature is that of Standard Webhooks (standardwebhooks.com), so that libraries can verify it.

mod body;

use std::{error::Error as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::{
    Client, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use sha2::Sha256;

pub use body::Call;

use super::{outbox::Fault, trust};
use crate::model::Webhook;

/// How long one attempt may take, name, connection and answer in all.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Calls once; `now` is what it is on the wall.
pub(super) async fn attempt(webhook: &Webhook, call: &Call, now: Timestamp) -> Result<(), Fault> {
    let client = client().map_err(Fault::lasting)?;
    let (id, time) = (call.id.to_string(), now.as_second().to_string());
    let mut request = client
        .post(&webhook.url.0)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &time);
    if let Some(secret) = &webhook.secret {
        let signature = signature(secret.0.as_bytes(), &id, &time, &call.body);
        request = request.header("webhook-signature", signature);
    }
    let answer = request.body(call.body.clone()).send().await;
    let answer = answer.map_err(|error| Fault::passing(reason(error)))?;
    judge(answer.status(), answer.headers(), now)
}

fn client() -> Result<Client, String> {
    let tls = trust::client_config().map_err(|error| error.to_string())?;
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("ldirectord/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .timeout(ATTEMPT)
        .build();
    client.map_err(reason)
}

/// `v1,` and the signature of what is sent with this number at this time.
fn signature(secret: &[u8], id: &str, time: &str, body: &str) -> String {
    // A key of HMAC may have any length, so there is no error.
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(format!("{id}.{time}.{body}").as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    });
    format!("v1,{}", mac.unwrap_or_default())
}

/// Why there is no answer. The address is left out: it may be a secret.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", ATTEMPT.as_secs());
    }
    let error = error.without_url();
    // The outer ones say that it was a request that failed.
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    // Some of rustls' end with the address of their documentation.
    reason.split_once(": https://").map(|(reason, _)| reason.to_owned()).unwrap_or(reason)
}

/// What an answer means.
fn judge(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Result<(), Fault> {
    if status.is_success() {
        return Ok(());
    }
    let text = format!("it answers {status}");
    if status.is_redirection() {
        let hint = "redirections are not followed; write the address that it leads to";
        return Err(Fault::lasting(format!("{text}; {hint}")));
    }
    let may_pass = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if !may_pass {
        return Err(Fault::lasting(text));
    }
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let not_before = asked.and_then(|asked| retry_after(asked, now)).unwrap_or_default();
    Err(Fault { not_before, ..Fault::passing(text) })
}

/// A number of seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T16:00:00Z".parse().unwrap()
    }

    /// What an answer with this status means, and how long it has us wait.
    fn judged(status: u16, retry_after: &str) -> Result<(), (bool, u64)> {
        let mut headers = HeaderMap::new();
        if !retry_after.is_empty() {
            headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        }
        let judged = judge(StatusCode::from_u16(status).unwrap(), &headers, now());
        judged.map_err(|fault| (fault.may_pass, fault.not_before.as_secs()))
    }

    #[test]
    fn an_answer_says_whether_to_try_again_and_when() {
        for status in [200, 201, 204] {
            assert_eq!(judged(status, ""), Ok(()), "{status}");
        }
        for status in [301, 304, 307, 400, 401, 403, 404, 410, 413] {
            assert_eq!(judged(status, "60"), Err((false, 0)), "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(judged(status, ""), Err((true, 0)), "{status}");
            assert_eq!(judged(status, "60"), Err((true, 60)), "{status}");
        }
        assert_eq!(judged(503, "Fri, 20 Nov 2026 16:02:00 GMT"), Err((true, 120)));
        assert_eq!(judged(503, "Fri, 20 Nov 2026 15:02:00 GMT"), Err((true, 0)));
        for odd in ["soon", "-5", "1e9", "99999999999999999999999"] {
            assert_eq!(judged(503, odd), Err((true, 0)), "{odd}");
        }
    }

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the reference implementation: the secret is the base64 of these bytes.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            "{\"test\": 2432232314}",
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
