//! Who a check says it is: logins and passwords from the file, the credentials file and what is usual; TLS keys.
//!
//! Done when the whole file has been read, because the credentials file may be named behind a service.

use std::ops::Range;

use zeroize::Zeroizing;

use super::{
    Diagnostic,
    credentials::Credentials,
    diagnostic::Findings,
    draft::{Block, Common, Globals},
    resolve::Service,
};
use crate::model::{Login, Secret, SmtpTls};

/// Completes every service: what it does not say itself comes from its section of the credentials file, then from what
/// is usual for its protocol.
pub(super) fn complete(
    services: &mut [Service],
    globals: &mut Globals,
    credentials: Option<&Credentials>,
    findings: &mut Findings,
) {
    for service in &mut *services {
        complete_block(&mut service.block, globals.credentials.is_some(), credentials, findings);
    }
    let is_named = globals.credentials.is_some();
    let places = services.iter_mut().map(|service| &mut service.block.common);
    for common in places.chain([&mut globals.common]) {
        complete_mail(common, is_named, credentials, findings);
    }
    encrypt(&globals.common, &globals.common, findings);
    for own in services.iter().map(|service| &service.block.common) {
        if own.smtp_credentials.is_some() || own.smtp_tls.is_some() {
            encrypt(own, &globals.common, findings);
        }
    }
    let places = services.iter().map(|service| &service.block.common);
    for common in places.chain([&globals.common]) {
        if let (Some((_, span)), None) = (&common.client_key, &common.client_certificate) {
            findings.push(
                Diagnostic::error(
                    "E0404",
                    span.clone(),
                    "`clientkey` is the key of no certificate",
                )
                .hint("write clientcert=FILE beside it"),
            );
        }
    }
}

/// The section that is wanted; says what is wrong where there is none.
pub(super) fn section<'c>(
    wanted: Option<&(String, Range<usize>)>,
    file_named: bool,
    credentials: Option<&'c Credentials>,
    findings: &mut Findings,
) -> Option<impl Fn(&str) -> Option<Zeroizing<String>> + use<'c>> {
    let (name, span) = wanted?;
    if !file_named {
        let fault = format!("no credentials file is named that could have a section [{name}]");
        findings.push(
            Diagnostic::error("E0504", span.clone(), fault)
                .hint("write credentials=FILE in the first column"),
        );
    }
    credentials.and_then(|file| file.section(name, span, findings))
}

/// Who we are to the mail server.
fn complete_mail(
    common: &mut Common,
    file_named: bool,
    credentials: Option<&Credentials>,
    findings: &mut Findings,
) {
    let wanted = common.smtp_credentials.as_ref();
    let Some(section) = section(wanted, file_named, credentials, findings) else { return };
    let value = |key| section(key).map(|value| value.as_str().to_owned()).unwrap_or_default();
    common.smtp_login = Some(Login { name: value("login"), passwd: Secret(value("passwd")) });
}

/// A password goes to a mail server over TLS or not at all.
fn encrypt(own: &Common, all: &Common, findings: &mut Findings) {
    let tls = own.smtp_tls.or(all.smtp_tls).unwrap_or_default();
    let wanted = own.smtp_credentials.as_ref().or(all.smtp_credentials.as_ref());
    if let (Some((_, span)), SmtpTls::Never) = (wanted, tls) {
        let fault = "the password would be sent to the mail server in the clear";
        findings.push(
            Diagnostic::error("E0506", span.clone(), fault)
                .hint("write smtptls=starttls, or smtptls=yes"),
        );
    }
}

fn complete_block(
    block: &mut Block,
    file_named: bool,
    credentials: Option<&Credentials>,
    findings: &mut Findings,
) {
    let Block { access, usual, credentials: wanted, .. } = block;
    let fields = [
        ("login", &mut access.login, &usual.login),
        ("passwd", &mut *access.passwd, &*usual.passwd),
        ("database", &mut access.database, &usual.database),
        ("secret", &mut *access.secret, &*usual.secret),
    ];
    let section = section(wanted.as_ref(), file_named, credentials, findings);
    for (key, field, usual) in fields {
        if field.is_empty() {
            let found = section.as_ref().and_then(|section| section(key));
            field.clone_from(found.as_deref().unwrap_or(usual));
        }
    }
}
