"""A mail server that does what it is told, by aiosmtpd; what it gets it writes down, read by Python's own MIME reader.

    mail_server.py PORT FOLDER [WORD ...]

FOLDER/mails gets a line of JSON for each mail, FOLDER/asked a line for each recipient and login. The words:

    refuse=ADDRESS    refuses this recipient for good
    later=N           puts off the first N recipients
    deny=CODE         answers mails with this code when it has them
    stall=STEP        says no more at connect, greeting, ehlo, mail, rcpt, data (before the text) or end (after it)
    die=STEP          closes the connection there (but at connect and greeting)
    starttls, tls     wants STARTTLS, or TLS from the first byte; FOLDER has certificate.pem and key.pem
    login=NAME:PASSWORD    wants this login
"""

import asyncio
import email
import email.policy
import json
import socket
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, folder, *words = sys.argv[1:]
settings = dict((word.split("=", 1) + [""])[:2] for word in words)
later = int(settings.get("later", 0))


def note(file, line):
    with open(f"{folder}/{file}", "a") as out:
        out.write(line + "\n")


async def at(step, server):
    if settings.get("stall") == step:
        note("asked", f"stalls at {step}")
        await asyncio.sleep(3600)
    if settings.get("die") == step:
        note("asked", f"dies at {step}")
        server.transport.abort()
        await asyncio.sleep(3600)


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        await at("ehlo", server)
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        await at("mail", server)
        envelope.mail_from = address
        return "250 fine"

    async def handle_RCPT(self, server, session, envelope, address, options):
        global later
        await at("rcpt", server)
        note("asked", f"rcpt {address}")
        if address == settings.get("refuse"):
            return "550 5.1.1 no such user here"
        if later > 0:
            later -= 1
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server, session, envelope):
        await at("end", server)
        if "deny" in settings:
            note("asked", "denied")
            return settings["deny"] + " not today"
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        note("mails", json.dumps({
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "from": [str(address) for address in mail["From"].addresses],
            "to": [str(address) for address in mail["To"].addresses],
            "subject": mail["Subject"],
            "headers": mail.keys(),
            "defects": [str(defect) for defect in mail.defects],
            "type": mail.get_content_type(),
            "body": mail.get_content(),
            "encrypted": session.ssl is not None or "tls" in settings,
            "login": session.auth_data.login.decode() if session.authenticated else None,
        }))
        return "250 taken"


class Server(SMTP):
    async def smtp_DATA(self, argument):
        await at("data", self)
        await super().smtp_DATA(argument)


def authenticate(server, session, envelope, mechanism, data):
    name, password = settings["login"].split(":")
    is_right = isinstance(data, LoginPassword) and (
        (data.login, data.password) == (name.encode(), password.encode()))
    note("asked", f"login {'right' if is_right else 'wrong'}")
    return AuthResult(success=is_right, handled=False, auth_data=data)


def listen():
    step = settings.get("stall")
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=0 if step == "connect" else 100)
    if step not in ("connect", "greeting"):
        return listener
    # Nobody accepts; where the queue is full nobody gets a connection either.
    queued = []
    while step == "connect":
        connection = socket.socket()
        connection.settimeout(0.2)
        queued.append(connection)
        try:
            connection.connect(("127.0.0.1", int(port)))
        except TimeoutError:
            break
    note("asked", f"stalls at {step}")
    return asyncio.run(asyncio.sleep(3600, (listener, queued)))


async def serve(listener):
    loop, tls, arguments = asyncio.get_running_loop(), None, {}
    if "tls" in settings or "starttls" in settings:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
    if "starttls" in settings:
        arguments |= {"tls_context": tls, "require_starttls": True}
    if "login" in settings:
        arguments |= {"authenticator": authenticate, "auth_required": True,
                      "auth_require_tls": "starttls" in settings}
    server = await loop.create_server(
        lambda: Server(Handler(), hostname="mail.example.net", loop=loop, **arguments),
        sock=listener, ssl=tls if "tls" in settings else None)
    note("asked", "listens")
    await server.serve_forever()


asyncio.run(serve(listen()))
