//! Logins: the greeting and the answer to it, and what is made of the password.

use openssl::{
    encrypt::Encrypter,
    error::ErrorStack,
    hash::{MessageDigest, hash as digest},
    pkey::PKey,
    rsa::Padding,
};
use zeroize::Zeroizing;

use crate::model::Negotiate;

const NATIVE: &[u8] = b"mysql_native_password";
const SHA2: &[u8] = b"caching_sha2_password";
/// That of 4.0, which is asked for without its name.
const OLD: &[u8] = b"mysql_old_password";

/// What we can do, as a client says it: 4.1's protocol and logins, of one result or several, a database on request.
/// Not files, TLS, compression or more than one statement.
const ABILITIES: u32 =
    LONG_PASSWORD | PROTOCOL_41 | SECURE_CONNECTION | MULTI_RESULTS | PLUGIN_AUTH;
const LONG_PASSWORD: u32 = 0x1;
const WITH_DATABASE: u32 = 0x8;
const PROTOCOL_41: u32 = 0x200;
const SECURE_CONNECTION: u32 = 0x8000;
const MULTI_RESULTS: u32 = 0x2_0000;
const PLUGIN_AUTH: u32 = 0x8_0000;

/// The longest packet that we would like to get, in bytes.
const LONGEST: u32 = 16 * 1024 * 1024;

/// UTF-8, as the oldest servers know it too.
const UTF8: u8 = 33;

/// How long a nonce is.
const NONCE: usize = 20;

/// What a server begins with.
pub(super) struct Greeting {
    pub(super) nonce: Vec<u8>,
    plugin: Vec<u8>,
}

impl Greeting {
    /// Reads version 10 of the protocol, of servers since 4.1; nothing else is spoken.
    pub(super) fn parse(packet: &[u8]) -> Option<Greeting> {
        let (10, rest) = packet.split_first()? else { return None };
        let (_version, rest) = until_nul(rest)?;
        let (_thread, rest) = rest.split_at_checked(4)?;
        let (first, rest) = rest.split_at_checked(8)?;
        // A filler, abilities, a character set, a status, more abilities, the length of the nonce, and room.
        let (_about, rest) = rest.split_at_checked(19)?;
        let (second, rest) = rest.split_at_checked(NONCE.saturating_sub(8))?;
        let plugin = rest.strip_prefix(b"\0").unwrap_or(rest);
        let plugin = until_nul(plugin).map_or(plugin, |(plugin, _)| plugin);
        Some(Greeting { nonce: [first, second].concat(), plugin: plugin.to_vec() })
    }

    /// Our side of the login. To a server that wants what we cannot, or says nothing, we offer what all have known.
    pub(super) fn answer(&self, negotiate: &Negotiate) -> Vec<u8> {
        let plugin = if self.plugin == SHA2 { SHA2 } else { NATIVE };
        let password = negotiate.passwd.0.as_bytes();
        let hash = hash(plugin, password, &self.nonce).unwrap_or_default();
        let database = negotiate.database.as_bytes();
        let abilities = if database.is_empty() { ABILITIES } else { ABILITIES | WITH_DATABASE };
        let mut answer = Vec::new();
        answer.extend(abilities.to_le_bytes());
        answer.extend(LONGEST.to_le_bytes());
        answer.push(UTF8);
        answer.extend([0; 23]);
        answer.extend(negotiate.login.as_bytes());
        answer.push(0);
        answer.extend(u8::try_from(hash.len()));
        answer.extend(hash);
        if !database.is_empty() {
            answer.extend(database);
            answer.push(0);
        }
        answer.extend(plugin);
        answer.push(0);
        answer
    }
}

fn until_nul(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end.saturating_add(1)..)?))
}

/// The way to log in that a server wants instead, and its nonce.
pub(super) fn another(packet: &[u8]) -> (&[u8], &[u8]) {
    let (plugin, nonce) = until_nul(packet).unwrap_or((packet, b""));
    let plugin = if plugin.is_empty() { OLD } else { plugin };
    (plugin, nonce.strip_suffix(b"\0").unwrap_or(nonce))
}

/// What is sent of a password; nothing of an empty one. `None` for a way to log in that is not known, or when OpenSSL
/// lacks what it needs.
pub(super) fn hash(plugin: &[u8], password: &[u8], nonce: &[u8]) -> Option<Vec<u8>> {
    let (kind, nonce_first) = match plugin {
        NATIVE => (MessageDigest::sha1(), true),
        SHA2 => (MessageDigest::sha256(), false),
        _ => return None,
    };
    if password.is_empty() {
        return Some(Vec::new());
    }
    // As good as the password.
    let once = Zeroizing::new(digest(kind, password).ok()?.to_vec());
    let twice = digest(kind, &once).ok()?;
    let salted = if nonce_first { [nonce, &twice].concat() } else { [&twice, nonce].concat() };
    Some(mixed(&once, &digest(kind, &salted).ok()?))
}

/// A password and the zero behind it, mixed with the nonce and encrypted with this key in PEM.
pub(super) fn encrypt(password: &[u8], nonce: &[u8], key: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::public_key_from_pem(key)?;
    let mixed = Zeroizing::new(mixed(&Zeroizing::new([password, b"\0"].concat()), nonce));
    let mut encrypter = Encrypter::new(&key)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    let mut encrypted = vec![0; encrypter.encrypt_len(&mixed)?];
    let length = encrypter.encrypt(&mixed, &mut encrypted)?;
    encrypted.truncate(length);
    Ok(encrypted)
}

/// These bytes by exclusive or with those, from the start again where there are fewer.
fn mixed(bytes: &[u8], with: &[u8]) -> Vec<u8> {
    bytes.iter().zip(with.iter().cycle()).map(|(byte, with)| byte ^ with).collect()
}
