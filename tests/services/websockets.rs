//! The library websockets of Python: ws and wss.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "websockets",
    start,
    trials: &[
        Trial::up("ws", 8001, &["service=ws"]).unknown_to_ldirectord(),
        Trial::up("ws with receive", 8001, &["service=ws", HELLO, "receive=\"^all is well$\""])
            .unknown_to_ldirectord(),
        Trial::up(
            "ws with everything",
            8001,
            &[
                "service=ws",
                "request=\"echo\"",
                "requestbody=\"are you there?\"",
                "receive=\"^you said are you there\\?$\"",
                "requestheader=\"Sec-WebSocket-Protocol: chat\"",
                "expectheader=\"Sec-WebSocket-Protocol: ^chat$\"",
                "virtualhost=\"lab.example.net\"",
                "login=\"ann\"",
                "passwd=\"s3cret\"",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::up(
            "ws with a long message in parts",
            8001,
            &["service=ws", "request=\"parts\"", "receive=\"^x+!$\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "ws, wrong answer",
            8001,
            Reason::Mismatch,
            &["service=ws", HELLO, "receive=\"nothing of the kind\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("ws, not found", 8001, Reason::Protocol, &["service=ws", "request=\"none\""])
            .unknown_to_ldirectord(),
        Trial::down("ws, denied", 8001, Reason::Denied, &["service=ws", "request=\"echo\""])
            .unknown_to_ldirectord(),
        Trial::up("wss", 8443, &["service=wss", HELLO, "receive=\"well\""]).unknown_to_ldirectord(),
        Trial::up(
            "wss, verified",
            8443,
            &["service=wss", "tlsverify=yes", "cafile=\"@/certificate.pem\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("wss, not trusted", 8443, Reason::Tls, &["service=wss", "tlsverify=yes"])
            .unknown_to_ldirectord(),
        Trial::down("wss, where ws is spoken", 8001, Reason::Tls, &["service=wss"])
            .unknown_to_ldirectord(),
    ],
};

const HELLO: &str = "request=\"hello\"";

const PROGRAM: &str = r#"
import asyncio, http, ssl, websockets

async def talk(socket):
    if socket.path == "/hello":
        await socket.send("all is well")
    elif socket.path == "/parts":
        await socket.send(["x" * 20000] * 10 + ["!"])
    elif socket.path == "/echo":
        async for message in socket:
            await socket.send("you said " + message)
    else:
        await socket.wait_closed()

async def look(path, headers):
    if path == "/none":
        return http.HTTPStatus.NOT_FOUND, [], b"none"
    # ann:s3cret
    if path == "/echo" and headers.get("Authorization") != "Basic YW5uOnMzY3JldA==":
        return http.HTTPStatus.UNAUTHORIZED, [], b"who are you?"

async def main():
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain("@/certificate.pem", "@/key.pem")
    hosts = ["127.0.0.1", "::1"]
    await websockets.serve(talk, hosts, 8001, process_request=look, subprotocols=["chat"])
    await websockets.serve(talk, hosts, 8443, process_request=look, ssl=secure)
    await asyncio.Future()

asyncio.run(main())
"#;

fn start(server: &Server) {
    server.make_certificate();
    let program = server.write("server.py", PROGRAM);
    server.spawn("python3", &[&program]);
    server.wait_for_ports(&[8001, 8443]);
}
