//! What a handshake needs, made of the settings and of the files that they name.
//!
//! In go [`TlsSettings`], out comes a [`Context`], which all checks with equal settings share. The files are read
//! when they are first needed, and again by a check that sees that one of them is another; where that one cannot be
//! used, what was read before goes on, and the log says so once.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use openssl::{error::ErrorStack, pkey::PKey, ssl::SslContext, x509::X509};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    sync::{OwnedMutexGuard, watch},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    old,
    verify::{self, AnyCertificate, Verifier},
};
use crate::{
    checks::connect,
    model::{ClientIdentity, TlsSettings},
};

/// The longest file that is read, in bytes; the authorities of all the world take a quarter of a MiB.
const LONGEST: u64 = 8 * 1024 * 1024;

/// How long a check waits for a look at files that were read before; storage may hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// For how long settings are remembered that no check has.
const UNUSED: Duration = Duration::from_secs(3600);

/// What is wrong with TLS settings, or with a file that they name.
#[derive(Debug, thiserror::Error)]
pub enum TlsSettingsError {
    /// The file cannot be read.
    #[error("cannot read {directive} {}: {}", file.display(), connect::words(error))]
    Unreadable {
        /// The directive that names it.
        directive: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file does not hold what it should.
    #[error("{directive} {} {fault}", file.display())]
    Unusable {
        /// The directive that names it.
        directive: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong, to follow its name in a sentence.
        fault: String,
    },
    /// There is no file of authorities, and the system has none either.
    #[error("tlsverify has nobody to trust: this system has no store of authorities; set cafile")]
    NobodyTrusted,
    /// What should be the server's name is none.
    #[error("tlsname {0} is no host name and no address")]
    BadName(String),
    /// The library refuses.
    #[error("cannot set TLS up: {0}")]
    Library(String),
}

impl TlsSettingsError {
    /// The directive that should change, or whose file should.
    pub fn directive(&self) -> &'static str {
        match self {
            TlsSettingsError::Unreadable { directive, .. }
            | TlsSettingsError::Unusable { directive, .. } => directive,
            TlsSettingsError::BadName(_) => "tlsname",
            TlsSettingsError::NobodyTrusted | TlsSettingsError::Library(_) => "tlsverify",
        }
    }

    /// The file that is at fault, if one is.
    pub fn file(&self) -> Option<&Path> {
        match self {
            TlsSettingsError::Unreadable { file, .. } | TlsSettingsError::Unusable { file, .. } => {
                Some(file)
            }
            _ => None,
        }
    }
}

/// What the files hold, ready for use.
pub(super) struct Context {
    /// Speaks TLS 1.2 and 1.3, and verifies if the settings say so.
    pub(super) modern: TlsConnector,
    /// Verifies what OpenSSL does not; `None` when nothing is to be verified.
    pub(super) verifier: Option<Arc<Verifier>>,
    client: Option<Client>,
    old: OnceLock<Result<SslContext, String>>,
}

struct Client {
    certified: Arc<CertifiedKey>,
    key: PrivateKeyDer<'static>,
}

impl Context {
    /// Reads the files. Blocks.
    pub(super) fn read(settings: &TlsSettings) -> Result<Context, TlsSettingsError> {
        let library = |error: &dyn std::error::Error| TlsSettingsError::Library(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let verifier = match (settings.verify, &settings.authorities) {
            (false, _) => None,
            (true, None) => Some(Verifier::new(system_roots()?, None, &provider)),
            (true, Some(file)) => {
                let certificates = certificates("cafile", file)?;
                let roots = roots(file, &certificates)?;
                Some(Verifier::new(roots, Some((file, certificates)), &provider))
            }
        };
        let verifier = verifier.transpose().map_err(|error| library(&error))?.map(Arc::new);
        let identity = settings.client.as_ref();
        let client = identity.map(|identity| client(identity, &provider)).transpose()?;

        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| library(&error))?
            .dangerous();
        let builder = match &verifier {
            Some(verifier) => builder.with_custom_certificate_verifier(Arc::clone(verifier) as _),
            None => builder.with_custom_certificate_verifier(Arc::new(AnyCertificate { provider })),
        };
        let mut config = match &client {
            Some(client) => {
                let resolver = SingleCertAndKey::from(Arc::clone(&client.certified));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        // They would be kept by name, and many real servers share one; a check that wants them has its own.
        config.resumption = Resumption::disabled();
        let modern = TlsConnector::from(Arc::new(config));
        Ok(Context { modern, verifier, client, old: OnceLock::new() })
    }

    /// The same as `modern`, with sessions of its own that it goes on with. It does not verify those.
    pub(super) fn with_sessions(&self) -> TlsConnector {
        let mut config = ClientConfig::clone(self.modern.config());
        config.resumption = Resumption::in_memory_sessions(1);
        TlsConnector::from(Arc::new(config))
    }

    /// For servers that only speak what is old. Verifies nothing.
    pub(super) fn old(&self) -> Result<&SslContext, &str> {
        let make = || {
            let client = self.client.as_ref().map(|client| (&*client.certified.cert, &client.key));
            old::context(client).map_err(|stack| stack.to_string())
        };
        self.old.get_or_init(make).as_ref().map_err(String::as_str)
    }
}

fn read(directive: &'static str, file: &Path) -> Result<Vec<u8>, TlsSettingsError> {
    let unreadable = |error| TlsSettingsError::Unreadable { directive, file: file.into(), error };
    // Before it is opened: a pipe would wait for somebody who writes.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unusable(directive, file, "is not a file"));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened.take(LONGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    match u64::try_from(bytes.len()) {
        Ok(..LONGEST) => Ok(bytes),
        _ => Err(unusable(directive, file, "is longer than 8 MiB")),
    }
}

fn unusable(directive: &'static str, file: &Path, fault: impl Into<String>) -> TlsSettingsError {
    TlsSettingsError::Unusable { directive, file: file.into(), fault: fault.into() }
}

fn certificates(
    directive: &'static str,
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&read(directive, file)?).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(unusable(directive, file, "has no certificate in PEM"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(directive, file, not_pem(&error))),
    }
}

/// What is wrong, without a byte of what may be a key.
fn not_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "has the begin of a section in PEM and not its end",
        pem::Error::IllegalSectionStart { .. } => {
            "has a line that should begin a section in PEM and does not"
        }
        pem::Error::Base64Decode(_) => "has a section in PEM that is not Base64",
        _ => "is not PEM",
    }
}

fn roots(
    cafile: &Path,
    certificates: &[CertificateDer<'_>],
) -> Result<RootCertStore, TlsSettingsError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(certificates) {
        roots.add(certificate.clone()).map_err(|error| {
            let error = verify::plain(&error);
            let fault = format!("has a certificate, number {number}, that cannot be used: {error}");
            unusable("cafile", cafile, fault)
        })?;
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, TlsSettingsError> {
    let mut roots = RootCertStore::empty();
    // Among those of a whole system there may be one that rustls does not understand.
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(TlsSettingsError::NobodyTrusted),
        _ => Ok(roots),
    }
}

/// The directive that names the file with the key.
pub(super) fn key_directive(identity: &ClientIdentity) -> &'static str {
    if identity.key == identity.certificate { "clientcert" } else { "clientkey" }
}

fn client(
    identity: &ClientIdentity,
    provider: &CryptoProvider,
) -> Result<Client, TlsSettingsError> {
    let (directive, file) = (key_directive(identity), &identity.key);
    let chain = certificates("clientcert", &identity.certificate)?;
    let text = read(directive, file)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let is_encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
        let fault = match error {
            _ if is_encrypted => {
                "has a key with a passphrase, which nobody is there to type; `openssl pkey` takes it off"
            }
            pem::Error::NoItemsFound => "has no private key in PEM",
            error => not_pem(&error),
        };
        unusable(directive, file, fault)
    })?;
    let bad_key = |error: &dyn std::fmt::Display| {
        unusable(directive, file, format!("has a key that cannot be used: {error}"))
    };
    let signing = provider.key_provider.load_private_key(key.clone_key());
    let signing = signing.map_err(|error| bad_key(&error))?;
    // By OpenSSL, because rustls looks only at certificates of version 3, and `openssl x509` makes others too.
    let bad_certificate = |error: ErrorStack| {
        let fault = format!("has a certificate that cannot be used: {error}");
        unusable("clientcert", &identity.certificate, fault)
    };
    let parsed: Result<Vec<_>, _> = chain.iter().map(|der| X509::from_der(der)).collect();
    let own =
        parsed.map_err(bad_certificate)?.swap_remove(0).public_key().map_err(bad_certificate)?;
    let private = PKey::private_key_from_der(key.secret_der()).map_err(|error| bad_key(&error))?;
    if !own.public_eq(&private) {
        let certificate = identity.certificate.display();
        let fault = format!("is not the key of the certificate in {certificate}");
        return Err(unusable(directive, file, fault));
    }
    Ok(Client { certified: Arc::new(CertifiedKey::new(chain, signing)), key })
}

/// The contexts that checks share, one for all that have equal settings.
#[derive(Default)]
pub(super) struct Contexts {
    #[expect(
        clippy::disallowed_types,
        reason = "held for one look into a map, never while anything waits"
    )]
    shelves: std::sync::Mutex<HashMap<TlsSettings, (Arc<Shelf>, Instant)>>,
}

impl Contexts {
    /// The context of these settings, of files as they are now; the error is a sentence.
    pub(super) async fn get(&self, settings: &TlsSettings) -> Result<Arc<Context>, String> {
        self.shelf(settings).context().await
    }

    fn shelf(&self, settings: &TlsSettings) -> Arc<Shelf> {
        // What is said in each handshake anew is nothing to keep a context for.
        let settings = TlsSettings { name: None, start: false, ..settings.clone() };
        // A map is whole even if somebody panicked beside it.
        let mut shelves = self.shelves.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if let Some((shelf, used)) = shelves.get_mut(&settings) {
            *used = now;
            return Arc::clone(shelf);
        }
        shelves.retain(|_, (_, used)| now < *used + UNUSED);
        let shelf = Arc::new(Shelf::new(settings.clone()));
        shelves.insert(settings, (Arc::clone(&shelf), now));
        shelf
    }
}

/// The context of some settings, and the files that it was made of.
struct Shelf {
    settings: TlsSettings,
    /// Found by the first look.
    files: OnceLock<Vec<PathBuf>>,
    last_good: watch::Sender<Option<Arc<Context>>>,
    seen: Arc<tokio::sync::Mutex<Seen>>,
}

/// What the last look found.
#[derive(Default)]
struct Seen {
    files: Option<Vec<Option<FileStat>>>,
    fault: Option<String>,
}

/// Device, inode, size, and time of change in seconds and nanoseconds.
type FileStat = (u64, u64, u64, i64, i64);

fn stat(file: &PathBuf) -> Option<FileStat> {
    let about = std::fs::metadata(file).ok()?;
    Some((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
}

impl Shelf {
    fn new(settings: TlsSettings) -> Shelf {
        let (last_good, seen) = (watch::Sender::new(None), Arc::default());
        Shelf { settings, files: OnceLock::new(), last_good, seen }
    }

    /// The files that the context depends on. Blocks.
    fn find_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        match (self.settings.verify, &self.settings.authorities) {
            (true, Some(file)) => files.push(file.clone()),
            (true, None) => {
                let store = openssl_probe::probe();
                files.extend(store.cert_file.into_iter().chain(store.cert_dir));
            }
            (false, _) => {}
        }
        if let Some(ClientIdentity { certificate, key }) = &self.settings.client {
            files.extend([certificate.clone(), key.clone()]);
        }
        files
    }

    async fn context(self: &Arc<Shelf>) -> Result<Arc<Context>, String> {
        let last_good = || self.last_good.borrow().clone();
        if let Some(context) = last_good() {
            // Where another check is looking already, or is stuck in that, what there is will do.
            if self.files.get().is_some_and(|files| !files.is_empty())
                && let Ok(seen) = Arc::clone(&self.seen).try_lock_owned()
            {
                _ = timeout(PATIENCE, self.look_elsewhere(seen)).await;
            }
            return Ok(last_good().unwrap_or(context));
        }
        let seen = Arc::clone(&self.seen).lock_owned().await;
        let fault = self.look_elsewhere(seen).await;
        last_good().ok_or_else(|| fault.unwrap_or_default())
    }

    /// Looks at the files on a thread that may block. The look goes on when its check has ended.
    async fn look_elsewhere(self: &Arc<Shelf>, mut seen: OwnedMutexGuard<Seen>) -> Option<String> {
        let shelf = Arc::clone(self);
        let looking = tokio::task::spawn_blocking(move || shelf.look(&mut seen));
        looking.await.unwrap_or_else(|error| Some(error.to_string()))
    }

    /// Reads the files if they are not what they were. Says what is wrong with them now.
    fn look(&self, seen: &mut Seen) -> Option<String> {
        // Before they are read: what changes in between is found by the next look.
        let files = self.files.get_or_init(|| self.find_files());
        let files = Some(files.iter().map(stat).collect());
        if seen.files != files {
            seen.files = files;
            let was_good = seen.fault.is_none();
            seen.fault = match Context::read(&self.settings) {
                Ok(context) => {
                    self.last_good.send_replace(Some(Arc::new(context)));
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(fault) = &seen.fault
                && was_good
                && self.last_good.borrow().is_some()
            {
                tracing::warn!("{fault}; checks go on with what was read before");
            }
        }
        seen.fault.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing_subscriber::layer::{Layer, SubscriberExt as _};

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl<S: tracing::Subscriber> Layer<S> for Counted {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            assert_eq!(*event.metadata().level(), tracing::Level::WARN);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_file_that_goes_bad_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let cafile = folder.path().join("root.pem");
        let good = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem();
        let settings = TlsSettings {
            verify: true,
            authorities: Some(cafile.clone()),
            ..TlsSettings::default()
        };
        let (told, mut seen) = (Arc::new(AtomicUsize::new(0)), Seen::default());
        let subscriber = tracing_subscriber::registry().with(Counted(Arc::clone(&told)));
        tracing::subscriber::with_default(subscriber, || {
            let shelf = Shelf::new(settings);
            // Its size is another each time, so that no clock is too coarse.
            let mut look = |text: &str| {
                std::fs::write(&cafile, text).unwrap();
                (shelf.look(&mut seen), told.load(Ordering::Relaxed))
            };
            let none = format!("cafile {} has no certificate in PEM", cafile.display());
            // Before there was anything good the checks fail and say why.
            assert_eq!(look(""), (Some(none.clone()), 0));
            assert_eq!(look(&good), (None, 0));
            assert_eq!(look("1"), (Some(none.clone()), 1));
            assert_eq!(look("22"), (Some(none.clone()), 1));
            assert_eq!(look(&good), (None, 1));
            assert_eq!(look("333"), (Some(none), 2));
            std::fs::remove_file(&cafile).unwrap();
            let fault = shelf.look(&mut seen).unwrap();
            assert!(fault.contains("ENOENT"), "{fault}");
            assert_eq!(told.load(Ordering::Relaxed), 2);
        });
    }
}
