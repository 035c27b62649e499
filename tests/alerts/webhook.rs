//! Webhooks at a web server of Python's, with the signature verified by Python's hmac.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::{Value, json};

use crate::{
    peers::{
        Trial, alert_test, certify, config, keep_secret, run_trusting, serve, start, stop,
        wait_for_documents, wait_for_words,
    },
    site::{Server, Site, signal},
    support::lab::Namespace,
};

pub(crate) const TRIALS: &[Trial] = &[
    ("webhook: signed, over TLS, and secret", signed),
    ("webhook: a template, and another after a reload", template),
    ("webhook: the server comes later", later),
    ("webhook: busy, then well", busy),
    ("webhook: what is not tried again", lasting),
    ("webhook: alert test", test),
];

const SCRIPT: &str = "webhook_server.py";

/// Waits for a request that tells of this event.
fn wait_for_event(site: &Site, event: &str) -> Value {
    let mut count = 1;
    loop {
        let calls = wait_for_documents(site, "calls", count);
        let is_it = |call: &&Value| call["body"]["alerts"][0]["event"] == event;
        match calls.iter().find(is_it) {
            Some(call) => return call.clone(),
            None => count = calls.len() + 1,
        }
    }
}

/// What a check of a server says that has gone.
fn why(address: SocketAddr) -> String {
    format!("cannot connect to {address}: connection refused (ECONNREFUSED)")
}

fn signed(namespace: &Namespace) {
    let server = Server::up();
    let address = server.address();
    let site = Site::new();
    certify(&site);
    let section =
        "[alerts]\nurl = https://lvs:hunter2@127.0.0.1:8443/200?key=hunter3\nsecret = hunter4\n";
    let credentials = keep_secret(&site, section);
    let lines = format!("{credentials}\nemailalertstatus=running\nwebhook=credentials=alerts");
    site.configure(&(config(&lines, &server) + "\tservicename=\"Käse\"\n"));
    serve(namespace, &site, SCRIPT, 8443, &["hunter4", "tls"]);
    let pid = start(&site);
    drop(server);
    let down = wait_for_event(&site, "down");
    assert_eq!(down["signed"], true, "{down:#}");
    assert_eq!(down["path"], "/200?key=hunter3");
    let headers = &down["headers"];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["authorization"], "Basic bHZzOmh1bnRlcjI=");
    assert_eq!(headers["user-agent"], concat!("ldirectord/", env!("CARGO_PKG_VERSION")));
    assert_eq!(headers["webhook-id"], down["body"]["id"].to_string());

    let body = &down["body"];
    assert_eq!(body["version"], 1);
    assert_eq!(body["kind"], "alert");
    assert_eq!(body["left_out"], 0);
    assert_eq!(body["configuration"], site.config().to_str().unwrap());
    let line = format!("Deleted real server: {address} (192.0.2.1:80)");
    assert_eq!(body["subject"], line);
    let alert = body["alerts"][0].as_object().unwrap();
    let service = json!({
        "protocol": "tcp", "address": "192.0.2.1:80", "mark": null, "name": "\"Käse\"", "comment": null
    });
    for (field, value) in [
        ("event", json!("down")),
        ("repeated", json!(false)),
        ("phase", json!("running")),
        ("line", json!(line)),
        ("service", service),
        ("server", json!(address.to_string())),
        ("reason", json!("refused")),
        ("detail", json!(why(address))),
        ("serving", json!({"working": 0, "of": 1, "fallback": "127.0.0.1:9"})),
    ] {
        assert_eq!(alert[field], value, "{field}");
    }
    let times = [&alert["time"], &alert["down_since"], &alert["last_check"]["time"]];
    for time in times {
        let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
        let ago = down["time"].as_f64().unwrap() - time.as_duration().as_secs_f64();
        assert!((0.0..60.0).contains(&ago), "{time} was {ago} s ago");
    }
    let fallback = wait_for_event(&site, "fallback_up");
    assert!(fallback["body"]["id"].as_i64() < body["id"].as_i64(), "numbers grow");

    let _back = Server::up_again(address);
    let up = wait_for_event(&site, "up");
    assert_eq!(up["body"]["alerts"][0]["down_since"], Value::Null);

    // The secrets are the receiver's alone.
    wait_for_words(&site, "webhook https://127.0.0.1:8443: Deleted real server: ");
    let status = run_trusting(&site, &[site.config().to_str().unwrap(), "status"]);
    let mut shown = site.log() + &status.all();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        shown.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(!shown.contains("hunter"), "{shown}");
    stop(pid);
}

fn template(namespace: &Namespace) {
    let server = Server::up();
    let address = server.address();
    let site = Site::new();
    let own = site.path("chat.json");
    let ready = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/webhook/slack.json");
    fs::copy(ready, &own).unwrap();
    // The name is relative to the configuration.
    let lines =
        "emailalertstatus=running,reloading\nwebhook=http://127.0.0.1:8080/200 template=chat.json";
    site.configure(&config(lines, &server));
    serve(namespace, &site, SCRIPT, 8080, &["none"]);
    let pid = start(&site);
    drop(server);
    let calls = wait_for_documents(&site, "calls", 2);
    let texts: Vec<&str> =
        calls.iter().map(|call| call["body"]["text"].as_str().unwrap()).collect();
    let line = format!("*Deleted real server: {address} (192.0.2.1:80)*\n");
    let down = texts.iter().find(|text| text.starts_with(&line));
    let down = down.unwrap_or_else(|| panic!("{texts:#?}"));
    assert!(down.contains(&format!("\nReason: refused: {}\n", why(address))), "{down}");
    assert!(calls[0]["headers"].get("webhook-signature").is_none(), "there is no secret");

    fs::write(&own, r#"{"a": ["{{event}} {{server}} {{service}} {{count}}"]}"#).unwrap();
    signal(pid, "HUP");
    site.wait_for_line("Reloading Linux Director Daemon config on signal", 1);
    let _back = Server::up_again(address);
    let calls = wait_for_documents(&site, "calls", 4);
    let bodies: Vec<_> = calls.iter().map(|call| call["body"].clone()).collect();
    let up = json!({"a": [format!("up {address} tcp 192.0.2.1:80 1")]});
    assert!(bodies.contains(&up), "{bodies:#?}");

    // A template that is none changes nothing.
    fs::write(&own, r#"{"a": {{event}}}"#).unwrap();
    let done = run_trusting(&site, &["validate", site.config().to_str().unwrap()]);
    assert_eq!(done.code, 2);
    assert!(done.err.contains("error[E0218]: cannot use the template "), "{}", done.err);
}

fn later(namespace: &Namespace) {
    let server = Server::up();
    let lines = "emailalertstatus=running\nwebhook=http://127.0.0.1:8080/200";
    let site = Site::with(&config(lines, &server));
    start(&site);
    drop(server);
    wait_for_words(
        &site,
        "failed to call webhook http://127.0.0.1:8080: Connection refused (os error 111); again in \
         2 s: Added fallback server: ",
    );
    serve(namespace, &site, SCRIPT, 8080, &["none"]);
    let calls = wait_for_documents(&site, "calls", 2);
    assert_eq!(calls[0]["body"]["alerts"][0]["event"], "fallback_up");
    assert_eq!(calls[1]["body"]["alerts"][0]["event"], "down");
}

fn busy(namespace: &Namespace) {
    let server = Server::up();
    let lines = "emailalertstatus=running\nwebhook=http://127.0.0.1:8080/429/1/4\n\
                 webhook=http://127.0.0.1:8080/503/1\nwebhook=http://127.0.0.1:8080/die";
    let site = Site::with(&config(lines, &server));
    serve(namespace, &site, SCRIPT, 8080, &["none"]);
    let pid = start(&site);
    drop(server);
    wait_for_words(
        &site,
        "failed to call webhook http://127.0.0.1:8080: it answers 429 Too Many Requests; again in 4 s: ",
    );
    wait_for_words(&site, "it answers 503 Service Unavailable; again in 2 s: ");
    let mut count = 1;
    let times = loop {
        let calls = wait_for_documents(&site, "calls", count);
        count = calls.len() + 1;
        let calls = |path: &str| -> Vec<Value> {
            calls.iter().filter(|call| call["path"] == path).cloned().collect()
        };
        let (polite, plain) = (calls("/429/1/4"), calls("/503/1"));
        if polite.len() >= 3 && plain.len() >= 3 && calls("/die").len() >= 2 {
            break [polite, plain].map(|calls| {
                assert_eq!(calls[0]["body"], calls[1]["body"], "the same, with the same number");
                calls[1]["time"].as_f64().unwrap() - calls[0]["time"].as_f64().unwrap()
            });
        }
    };
    assert!(times[0] >= 4.0 && times[1] >= 2.0, "{times:?}");
    stop(pid);
}

fn lasting(namespace: &Namespace) {
    let server = Server::up();
    let lines = "emailalertstatus=running\nwebhook=http://127.0.0.1:8080/404\n\
                 webhook=http://127.0.0.1:8080/redirect\nwebhook=http://127.0.0.1:8080/endless";
    let site = Site::with(&config(lines, &server));
    serve(namespace, &site, SCRIPT, 8080, &["none"]);
    let pid = start(&site);
    drop(server);
    let failed = "failed to call webhook http://127.0.0.1:8080: it answers";
    wait_for_words(&site, &format!("{failed} 404 Not Found: Deleted real server: "));
    wait_for_words(
        &site,
        &format!(
            "{failed} 302 Found; redirections are not followed; write the address that it leads \
             to: Deleted real server: "
        ),
    );
    let calls = wait_for_documents(&site, "calls", 6);
    assert_eq!(calls.len(), 6, "two for each, none again: {calls:#?}");
    stop(pid);
    assert!(!site.log().contains("again in"), "{}", site.log());
}

fn test(namespace: &Namespace) {
    let server = Server::up();
    let site = Site::new();
    certify(&site);
    let credentials = keep_secret(&site, "[alerts]\nsecret = hunter4\n");
    let webhook = "webhook=https://127.0.0.1:8443/hunter2 credentials=alerts";
    let tells = |path: &str| {
        let lines = format!("{credentials}\n{}", webhook.replace("hunter2", path));
        site.configure(&config(&lines, &server));
        let done = alert_test(&site);
        (done.code, done.all())
    };
    let cannot = "cannot call webhook https://127.0.0.1:8443: ";
    let refused = format!("{cannot}Connection refused (os error 111)\n");
    assert_eq!(tells("hunter2"), (1, refused));
    serve(namespace, &site, SCRIPT, 8443, &["hunter4", "tls"]);
    assert_eq!(tells("200"), (0, "webhook https://127.0.0.1:8443 took the test\n".to_owned()));
    let call = wait_for_documents(&site, "calls", 1).remove(0);
    assert_eq!(call["signed"], true);
    assert_eq!((&call["body"]["kind"], &call["body"]["alerts"]), (&json!("test"), &json!([])));
    assert_eq!(tells("403"), (1, format!("{cannot}it answers 403 Forbidden\n")));
    // Another certificate than the one that is trusted.
    certify(&site);
    let (code, told) = tells("200");
    assert_eq!(code, 1);
    assert!(told.starts_with(cannot) && told.contains("certificate"), "{told}");
}
