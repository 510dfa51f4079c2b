//! TLS between our client or shell and a real server: who is trusted, and who is known.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use althing_client::client::Client;
use althing_client::config::ClientConfig;
use althing_client::secured::{Identity, Secured};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use process::{Server, told};

#[path = "../../tests/process.rs"]
#[allow(dead_code, reason = "another package's tests use the rest")]
mod process;

const BINARY: &str = env!("CARGO_BIN_EXE_althing");

/// An authority, and the directory with what it has signed.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let directory = tempfile::tempdir().expect("a directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed");
        fs::write(directory.path().join("authority.pem"), certificate.pem()).expect("written");
        let issuer = Issuer::new(params, key);
        Authority { directory, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate of this machine with the subject CN=`name`: NAME.pem and NAME.key.
    fn signs(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let write = |end: &str, text: String| fs::write(self.file(&format!("{name}.{end}")), text);
        write("pem", certificate.pem()).expect("written");
        write("key", key.serialize_pem()).expect("written");
    }

    /// A server that this authority has signed; it takes clients without a certificate, too.
    fn server(&self) -> Server {
        self.signs("server");
        let text = format!(
            "port_unification = true\nclient_tls_certificate = {:?}\nclient_tls_key = {:?}\n\
             client_tls_authority = {:?}\nclient_certificates = \"want\"\n",
            self.file("server.pem"),
            self.file("server.key"),
            self.file("authority.pem"),
        );
        let config = self.file("althing.toml");
        fs::write(&config, text).expect("written");
        Server::start_with(BINARY, &["--config", config.to_str().expect("a path")])
    }
}

/// Runs one command of the shell by TLS: exit code, what it said, what it complained of.
fn shell(server: &Server, authority: &Authority, flags: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(BINARY);
    command
        .args(["cli", "--server", &server.address().to_string()])
        .args(["--patience-ms", "2000", "--tls", "--ca"])
        .arg(authority.file("authority.pem"))
        .args(flags)
        .env_remove("ALTHING_AUTH");
    told(&mut command)
}

#[test]
fn the_shell_is_who_its_certificate_says() {
    let authority = Authority::new();
    let server = authority.server();
    authority.signs("payment");
    let (certificate, key) = (authority.file("payment.pem"), authority.file("payment.key"));
    let own = [
        "--certificate",
        certificate.to_str().expect("a path"),
        "--key",
        key.to_str().expect("a path"),
    ];
    let with = |words: &[&str]| shell(&server, &authority, &[&own[..], words].concat());
    let made = with(&["create", "/private", "x", "x509:CN=payment:cdrwa"]);
    assert_eq!(made, (0, "Created /private\n".to_owned(), String::new()));
    assert_eq!(with(&["get", "/private"]).1, "x\n");
    let (code, _, complained) = shell(&server, &authority, &["get", "/private"]);
    assert_eq!(
        (code, &*complained),
        (1, "Insufficient permission: /private\n")
    );
}

#[test]
fn a_server_of_another_authority_is_refused_and_so_are_useless_flags() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server();
    let (code, _, complained) = shell(&server, &other, &["ls", "/"]);
    assert_eq!(code, 3, "{complained}");
    let expected = "no server gave a session in time; at last: 127.0.0.1:";
    assert!(complained.starts_with(expected), "{complained}");
    assert!(
        complained.contains("invalid peer certificate"),
        "{complained}"
    );

    let (code, _, complained) = shell(&server, &authority, &["--key", "/dev/null", "ls", "/"]);
    assert_eq!(code, 2, "{complained}");
    let (certificate, key) = (authority.file("authority.pem"), "/dev/null");
    let certificate = certificate.to_str().expect("a path");
    let flags = ["--certificate", certificate, "--key", key, "ls", "/"];
    let (code, _, complained) = shell(&server, &authority, &flags);
    assert_eq!(code, 2, "{complained}");
    assert!(complained.contains("/dev/null: "), "{complained}");
}

#[tokio::test]
async fn the_client_speaks_tls_and_is_known_by_its_certificate() {
    let authority = Authority::new();
    let server = authority.server();
    authority.signs("payment");
    let identity = Identity {
        certificate: &authority.file("payment.pem"),
        key: &authority.file("payment.key"),
    };
    let secured = Secured::new(&authority.file("authority.pem"), Some(identity)).expect("files");
    let config = ClientConfig::new([server.address().to_string()]);
    let client = Client::connect(secured, config).await.expect("a session");
    let identities = client.who_am_i().await.expect("an answer");
    let mut known = identities.iter();
    let known = known.find(|identity| &*identity.scheme == "x509");
    assert_eq!(known.map(|identity| &*identity.id), Some("CN=payment"));
    client.close().await.expect("an end");
}
