//! Where webhooks go, and the templates that put them into the words of a chat system.
//!
//! A [`Template`] is JSON in which `{{name}}` inside of a text stands for a fact. Facts are put into the texts after the
//! JSON was read, so that whatever stands in one, the result is JSON with the structure of the template.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::Secret;

/// Whom a webhook calls.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Webhook {
    /// The address; who knows it may write to a chat, so that it is nobody's business.
    pub url: Secret,
    /// What of it may be shown: `https://chat.example.org`.
    pub shown: String,
    /// With what requests are signed.
    pub secret: Option<Secret>,
    /// What is sent in place of our own JSON.
    pub template: Option<Arc<Template>>,
}

/// Declares the placeholders of a template.
macro_rules! placeholders {
    ($($variant:ident $name:literal $doc:literal)*) => {
        /// What can be put into a template.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Placeholder {
            $(#[doc = $doc] $variant,)*
        }

        /// Every placeholder and its name.
        pub const PLACEHOLDERS: &[(&str, Placeholder)] = &[$(($name, Placeholder::$variant),)*];
    };
}

placeholders! {
    Subject "subject" "What happened, in one line."
    Text "text" "What there is to know of it, in several lines."
    Event "event" "The word for it: up, down, digest and so on."
    Service "service" "The virtual service."
    Name "name" "Its `servicename`."
    Server "server" "The real server or fallback."
    Reason "reason" "Why it is down."
    Serving "serving" "What serves now."
    Phase "phase" "What the daemon was doing."
    Count "count" "How many things happened."
    Host "host" "The name of the director."
    Configuration "configuration" "The configuration file."
    Time "time" "When it happened, in UTC."
    Id "id" "The number of the message."
}

/// A template that is right.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Template(String);

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TemplateFault {
    /// It is not JSON, for this reason.
    NotJson(String),
    /// There is no such placeholder.
    Unknown(String),
    /// A `{{` that no `}}` ends.
    Open,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateFault::NotJson(why) => write!(f, "it is not JSON: {why}"),
            TemplateFault::Unknown(name) => write!(f, "there is no placeholder {{{{{name}}}}}"),
            TemplateFault::Open => f.write_str("a {{ has no }} in the same text"),
        }
    }
}

impl Template {
    /// Takes a text that is JSON and names no placeholder but those that there are.
    pub fn new(text: &str) -> Result<Template, TemplateFault> {
        let not_json = |error: serde_json::Error| TemplateFault::NotJson(error.to_string());
        let mut value: Value = serde_json::from_str(text).map_err(not_json)?;
        replace(&mut value, &mut |_| String::new())?;
        Ok(Template(text.to_owned()))
    }

    /// The JSON with facts in place of their names.
    pub fn fill(&self, mut fact: impl FnMut(Placeholder) -> String) -> String {
        let filled = serde_json::from_str(&self.0).map(|mut value: Value| {
            let replaced = replace(&mut value, &mut fact);
            debug_assert_eq!(replaced, Ok(()), "it was tried when it was taken");
            value.to_string()
        });
        filled.unwrap_or_default()
    }
}

/// Replaces the placeholders in every text of the value. Names of fields stay as they are.
fn replace(
    value: &mut Value,
    fact: &mut impl FnMut(Placeholder) -> String,
) -> Result<(), TemplateFault> {
    match value {
        Value::String(text) => *text = replaced(text, fact)?,
        Value::Array(values) => {
            for value in values {
                replace(value, fact)?;
            }
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                replace(value, fact)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn replaced(
    text: &str,
    fact: &mut impl FnMut(Placeholder) -> String,
) -> Result<String, TemplateFault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}").ok_or(TemplateFault::Open)?;
        let name = name.trim();
        let known = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
        let (_, placeholder) =
            known.ok_or_else(|| TemplateFault::Unknown(name.chars().take(40).collect()))?;
        out.push_str(before);
        out.push_str(&fact(*placeholder));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_cannot_break_out_of_their_text() {
        let template = Template::new(r#"{"text": "<{{subject}}> {{ text }}", "n": [1, "{{id}}"]}"#);
        let evil = "\"}, {\"a\": \"\n\u{1} {{text}} \\";
        let filled = template.unwrap().fill(|placeholder| match placeholder {
            Placeholder::Subject => evil.to_owned(),
            other => format!("{other:?}"),
        });
        let value: Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(value["text"], format!("<{evil}> Text"));
        assert_eq!(value["n"], serde_json::json!([1, "Id"]));
        assert_eq!(value.as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_template_is_told() {
        let fault = |text: &str| Template::new(text).unwrap_err();
        assert!(matches!(fault("{\"text\": {{subject}}}"), TemplateFault::NotJson(_)));
        assert!(matches!(fault(""), TemplateFault::NotJson(_)));
        assert_eq!(fault(r#"["{{subjekt}}"]"#), TemplateFault::Unknown("subjekt".to_owned()));
        assert_eq!(fault(r#"["{{subject}"]"#), TemplateFault::Open);
        assert_eq!(fault(r#"["{{x}}"]"#).to_string(), "there is no placeholder {{x}}");
    }
}
