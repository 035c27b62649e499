//! Who a check says it is: logins and passwords from the file, the credentials file and what is usual; TLS keys.
//!
//! Done when the whole file has been read, because the credentials file may be named behind a service.

use super::{
    Diagnostic,
    credentials::Credentials,
    diagnostic::Findings,
    draft::{Block, Globals},
    resolve::Service,
};

/// Completes every service: what it does not say itself comes from its section of the credentials file, then from what
/// is usual for its protocol.
pub(super) fn complete(
    services: &mut [Service],
    globals: &Globals,
    credentials: Option<&Credentials>,
    findings: &mut Findings,
) {
    for service in &mut *services {
        complete_block(&mut service.block, globals.credentials.is_some(), credentials, findings);
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
    if let (Some((name, span)), false) = (wanted.as_ref(), file_named) {
        let fault = format!("no credentials file is named that could have a section [{name}]");
        findings.push(
            Diagnostic::error("E0504", span.clone(), fault)
                .hint("write credentials=FILE in the first column"),
        );
    }
    let section = wanted.as_ref().zip(credentials);
    let section = section.and_then(|((name, span), file)| file.section(name, span, findings));
    for (key, field, usual) in fields {
        if field.is_empty() {
            let found = section.as_ref().and_then(|section| section(key));
            field.clone_from(found.as_deref().unwrap_or(usual));
        }
    }
}
