//! Webhooks with what stands in other files: the address and the secret of a section of the credentials file, templates.
//!
//! Done when the whole file has been read, because the credentials file may be named behind a webhook.

use std::{collections::HashMap, ops::Range, path::PathBuf, sync::Arc};

use super::{
    Diagnostic, Files,
    access::section,
    credentials::Credentials,
    diagnostic::Findings,
    draft::{Common, Draft, Globals, WebhookText},
    resolve::Service,
    set::webhook_address,
};
use crate::model::{PLACEHOLDERS, Secret, Template, TemplateFault, Webhook};

/// The largest template, in bytes.
const LARGEST: usize = 64 << 10;

/// The templates by their files, those that are right.
pub(super) type Templates = HashMap<PathBuf, Arc<Template>>;

/// Reads the templates that the file names, each once.
pub(super) fn templates(draft: &mut Draft<'_>, files: &dyn Files) -> Templates {
    let mut templates = Templates::new();
    for (path, span) in std::mem::take(&mut draft.templates) {
        let read = files.read(&path).map_err(|error| error.to_string());
        let text = read.and_then(|file| match file.bytes.len() {
            ..=LARGEST => String::from_utf8(file.bytes.to_vec())
                .map_err(|_| "it is not text in UTF-8".to_owned()),
            _ => Err(format!("it has more than {} KiB", LARGEST >> 10)),
        });
        match text.and_then(|text| Template::new(&text).map_err(|fault| told(&fault))) {
            Ok(template) => _ = templates.insert(path, Arc::new(template)),
            Err(fault) => {
                let fault = format!("cannot use the template {}: {fault}", path.display());
                draft.findings.push(Diagnostic::error("E0218", span, fault));
            }
        }
    }
    templates
}

fn told(fault: &TemplateFault) -> String {
    match fault {
        TemplateFault::Unknown(_) => {
            let names: Vec<&str> = PLACEHOLDERS.iter().map(|(name, _)| *name).collect();
            format!("{fault}, but {}", names.join(", "))
        }
        _ => fault.to_string(),
    }
}

/// Completes the webhooks of every service and those of all.
pub(super) fn complete(
    services: &mut [Service],
    globals: &mut Globals,
    credentials: Option<&Credentials>,
    templates: &Templates,
    findings: &mut Findings,
) {
    let is_named = globals.credentials.is_some();
    let places = services.iter_mut().map(|service| &mut service.block.common);
    for Common { webhooks, calls, .. } in places.chain([&mut globals.common]) {
        let found = webhooks
            .iter()
            .filter_map(|text| call(text, is_named, credentials, templates, findings));
        *calls = found.map(Arc::new).collect();
    }
}

fn call(
    text: &WebhookText,
    file_named: bool,
    credentials: Option<&Credentials>,
    templates: &Templates,
    findings: &mut Findings,
) -> Option<Webhook> {
    let wanted = text.credentials.as_ref();
    let section = section(wanted, file_named, credentials, findings);
    if wanted.is_some() && section.is_none() {
        return None;
    }
    let kept = |key| {
        let value = section.as_ref().and_then(|section| section(key))?;
        (!value.is_empty()).then(|| Secret(value.as_str().to_owned()))
    };
    let mut fault = |span: &Range<usize>, fault: &str| {
        findings.push(Diagnostic::error("E0217", span.clone(), fault));
        None
    };
    let secret = kept("secret");
    if text.url.is_some() && wanted.is_some() && secret.is_none() {
        return fault(&text.span, "the section has no secret, and so nothing for this line");
    }
    let url = match text.url.clone().or_else(|| kept("url")) {
        Some(url) => url,
        None => return fault(&text.span, "neither this line nor its section has an address"),
    };
    let shown = match webhook_address(&url.0) {
        Ok(address) => address.origin().ascii_serialization(),
        Err(why) => return fault(&text.span, &format!("in the credentials file, {why}")),
    };
    let template = text.template.as_ref().and_then(|path| templates.get(path).cloned());
    Some(Webhook { url, shown, secret, template })
}
