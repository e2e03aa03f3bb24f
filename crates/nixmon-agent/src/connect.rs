//! Connections to a hub: its address, TLS, and the stream below both protocols.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Time within which a connection is made, TLS included.
const PATIENCE: Duration = Duration::from_secs(20);

/// The address of a hub: `wss://HOST[:PORT]` or `https://…`, or without TLS `ws://…` or `http://…`; a path before that of the
/// hub's API is allowed, as behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

/// A text that is no address of a hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address of a hub is https://HOST[:PORT], or http://HOST[:PORT] without TLS")]
pub struct InvalidAddress;

impl FromStr for HubAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let uri: Uri = text.parse().map_err(|_| InvalidAddress)?;
        let is_tls = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            _ => return Err(InvalidAddress),
        };
        let authority = uri.authority().ok_or(InvalidAddress)?;
        if uri.query().is_some() || authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(InvalidAddress);
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { is_tls, host: authority.host().to_owned(), port, path })
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_tls, host, port, path } = self;
        write!(f, "{}://{host}:{port}{path}", if *is_tls { "https" } else { "http" })
    }
}

impl HubAddress {
    /// Returns whether what is sent can be read by nobody on the way: it is encrypted, or stays on this machine.
    pub fn is_private(&self) -> bool {
        self.is_tls || is_loopback(self.bare_host())
    }

    /// Returns the host and the port, for the header `Host`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns the path of a place at the hub.
    pub(crate) fn path(&self, place: &str) -> String {
        format!("{}{place}", self.path)
    }

    /// Returns the host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The hub cannot be reached.
    #[error("cannot connect to {hub}: {error}")]
    Io {
        /// Its address.
        hub: String,
        /// The system's reason, or that of TLS.
        error: io::Error,
    },
    /// It does not answer in time.
    #[error("{hub} does not answer")]
    Late {
        /// Its address.
        hub: String,
    },
    /// The host cannot be the name of a certificate.
    #[error("`{0}` cannot be in a certificate")]
    Name(String),
    /// The file with certificates cannot be used.
    #[error("cannot read certificates from {file}: {reason}")]
    Certificates {
        /// The file.
        file: String,
        /// The reason.
        reason: String,
    },
    /// The system has no certificates of authorities.
    #[error("this system has no certificates of authorities; name a file with --ca")]
    NoCertificates,
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

/// The trust in hubs; read once.
#[derive(Clone)]
pub(crate) struct Tls(Option<TlsConnector>);

impl Tls {
    /// Reads the certificates, if the hub has TLS.
    pub(crate) fn new(hub: &HubAddress, ca: Option<&Path>) -> Result<Self, ConnectError> {
        if !hub.is_tls {
            return Ok(Self(None));
        }
        let mut roots = RootCertStore::empty();
        match ca {
            Some(file) => {
                let failed =
                    |reason: String| ConnectError::Certificates { file: file.display().to_string(), reason };
                for certificate in
                    CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?
                {
                    let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                    roots.add(certificate).map_err(|error| failed(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(failed("there are none in it".to_owned()));
                }
            }
            None => {
                // A single one that cannot be read is no reason to trust none.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(ConnectError::NoCertificates);
                }
            }
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    /// Connects.
    pub(crate) async fn connect(&self, hub: &HubAddress) -> Result<Stream, ConnectError> {
        let failed = |error| ConnectError::Io { hub: hub.to_string(), error };
        let connect = async {
            let stream = TcpStream::connect((hub.bare_host(), hub.port)).await.map_err(failed)?;
            // Beats are small, and late otherwise.
            stream.set_nodelay(true).map_err(failed)?;
            let Some(connector) = &self.0 else { return Ok(Stream::Plain(stream)) };
            let name = ServerName::try_from(hub.bare_host().to_owned());
            let name = name.map_err(|_| ConnectError::Name(hub.host.clone()))?;
            let stream = connector.connect(name, stream).await.map_err(failed)?;
            Ok(Stream::Tls(Box::new(stream)))
        };
        let late = || ConnectError::Late { hub: hub.to_string() };
        tokio::time::timeout(PATIENCE, connect).await.map_err(|_| late())?
    }
}

/// A connection to a hub.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected, is_private) in [
            ("wss://hub.example.org", "https://hub.example.org:443", true),
            ("https://hub.example.org:7766/nixmon/", "https://hub.example.org:7766/nixmon", true),
            ("http://127.0.0.1:7766", "http://127.0.0.1:7766", true),
            ("ws://[::1]:7766/", "http://[::1]:7766", true),
            ("ws://hub.example.org", "http://hub.example.org:80", false),
        ] {
            let address: HubAddress = text.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.is_private()),
                (expected, is_private),
                "{text}"
            );
        }
        for text in
            ["", "hub", "ftp://hub", "https://", "https://a@hub", "https://hub?x", "//hub", "https://h b"]
        {
            assert_eq!(text.parse::<HubAddress>(), Err(InvalidAddress), "{text}");
        }
    }

    #[test]
    fn certificates_have_to_be_some() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let hub: HubAddress = "https://hub".parse().unwrap();
        let failure = |text: &str| {
            #[expect(clippy::disallowed_methods, reason = "a test with files of its own")]
            std::fs::write(&file, text).unwrap();
            Tls::new(&hub, Some(&file)).err().unwrap().to_string()
        };
        assert!(failure("").contains("there are none in it"));
        assert!(failure("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("ca.pem"));
        assert!(Tls::new(&"http://hub".parse().unwrap(), Some(Path::new("missing"))).is_ok());
    }
}
