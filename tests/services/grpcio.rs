//! gRPC's own library, in Python: grpc and grpcs.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "grpcio",
    start,
    trials: &[
        Trial::up("grpc", 50051, &["service=grpc"]).unknown_to_ldirectord(),
        Trial::up(
            "grpc with everything",
            50051,
            &[
                "service=grpc",
                "request=\"shop.Private\"",
                "virtualhost=\"lab.example.net\"",
                "requestheader=\"Authorization: Bearer token\"",
            ],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "grpc, not serving",
            50051,
            Reason::Protocol,
            &["service=grpc", "request=\"shop.Down\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "grpc, not known",
            50051,
            Reason::Protocol,
            &["service=grpc", "request=\"shop.None\""],
        )
        .unknown_to_ldirectord(),
        Trial::down(
            "grpc, denied",
            50051,
            Reason::Denied,
            &["service=grpc", "request=\"shop.Private\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("grpc without a health service", 50052, Reason::Protocol, &["service=grpc"])
            .unknown_to_ldirectord(),
        Trial::up("grpcs", 50443, &["service=grpcs"]).unknown_to_ldirectord(),
        Trial::up("grpcs by OpenSSL", 50443, &["service=grpcs", "tlsengine=openssl"])
            .unknown_to_ldirectord(),
        Trial::up(
            "grpcs, verified",
            50443,
            &["service=grpcs", "tlsverify=yes", "cafile=\"@/certificate.pem\""],
        )
        .unknown_to_ldirectord(),
        Trial::down("grpcs, not trusted", 50443, Reason::Tls, &["service=grpcs", "tlsverify=yes"])
            .unknown_to_ldirectord(),
        Trial::down("grpcs, where grpc is spoken", 50051, Reason::Tls, &["service=grpcs"])
            .unknown_to_ldirectord(),
    ],
};

const PROGRAM: &str = r#"
import concurrent.futures, grpc

# The answers of the health service, as they travel.
ANSWERS = {b"": b"\x08\x01", b"shop.Private": b"\x08\x01", b"shop.Down": b"\x08\x02"}

def check(request, context):
    name = request[2:]
    metadata = dict(context.invocation_metadata())
    if name == b"shop.Private" and metadata.get("authorization") != "Bearer token":
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    if name not in ANSWERS:
        context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
    return ANSWERS[name]

def serve(port, handlers, credentials=None):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=handlers)
    for host in ["127.0.0.1", "[::1]"]:
        address = f"{host}:{port}"
        if credentials:
            server.add_secure_port(address, credentials)
        else:
            server.add_insecure_port(address)
    server.start()
    return server

methods = {"Check": grpc.unary_unary_rpc_method_handler(check)}
health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)
key, certificate = (open(f"@/{name}.pem", "rb").read() for name in ["key", "certificate"])
secure = grpc.ssl_server_credentials([(key, certificate)])
servers = [serve(50051, [health]), serve(50052, []), serve(50443, [health], secure)]
for server in servers:
    server.wait_for_termination()
"#;

fn start(server: &Server) {
    server.make_certificate();
    let program = server.write("server.py", PROGRAM);
    server.spawn("python3", &[&program]);
    server.wait_for_ports(&[50051, 50052, 50443]);
}
