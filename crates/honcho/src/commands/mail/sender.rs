//! Settings of a sender.

use super::{Address, CertificateArguments, address, name};

pub(super) const HELP: &str = "\
Postfix keeps its settings for other mail: slow logs get a transport of their own, with this certificate. Two settings are of all \
its mail: how long it stays in the queue (30 days), and how often it is tried.

Examples:
  honcho mail config sender --to slowlog@logs.example.net --mx mx1.example.net --mx mx2.example.net
  honcho mail config sender --to slowlog@logs.example.net --mx mx1.example.net --mx mx2.example.net | ssh root@db1 sh
  honcho mail config sender --to slowlog@logs.example.net --mx mx1.example.net --daemon opensmtpd";

/// A mail daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Daemon {
    Postfix,
    Nullmailer,
    Opensmtpd,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SenderArguments {
    /// The address that receives slow logs
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Address,
    /// A receiver's name, as its certificate has it; once for each of the domain's MXs
    #[arg(long, value_name = "NAME", required = true, value_parser = name)]
    mx: Vec<String>,
    #[command(flatten)]
    certificates: CertificateArguments,
    /// The mail daemon of the server
    #[arg(long, value_name = "WHICH", default_value = "postfix")]
    daemon: Daemon,
}

pub(super) fn script(arguments: &SenderArguments) -> String {
    match arguments.daemon {
        Daemon::Postfix => postfix(arguments),
        Daemon::Nullmailer => nullmailer(arguments),
        Daemon::Opensmtpd => opensmtpd(arguments),
    }
}

fn postfix(arguments: &SenderArguments) -> String {
    let CertificateArguments { ca, certificate, key } = &arguments.certificates;
    let (domain, names) = (&arguments.to.domain, arguments.mx.join(":"));
    format!(
        r#"#!/bin/sh
# Postfix of a server that sends slow logs to {local}@{domain}. Run as root; it may be run again.
set -eu
directory=$(postconf -h config_directory)
kind=$(postconf -h default_database_type)

# A transport of its own: other mail does not show this certificate, and is not kept back by what keeps slow logs back.
# The receiver must show a certificate of the CA with one of the names given here, whatever DNS says. What a receiver refuses
# stays in the queue (soft_bounce): a certificate that is not listed yet must not lose a log.
postconf -M 'honcho-post/unix=honcho-post unix - - n - - smtp'
postconf -P \
  'honcho-post/unix/smtp_tls_security_level=secure' \
  'honcho-post/unix/smtp_tls_secure_cert_match={names}' \
  'honcho-post/unix/smtp_tls_CAfile={ca}' \
  'honcho-post/unix/smtp_tls_cert_file={certificate}' \
  'honcho-post/unix/smtp_tls_key_file={key}' \
  'honcho-post/unix/smtp_tls_mandatory_protocols=>=TLSv1.2' \
  'honcho-post/unix/smtp_tls_loglevel=1' \
  'honcho-post/unix/soft_bounce=yes' \
  'honcho-post/unix/smtp_connect_timeout=10s' \
  'honcho-post/unix/smtp_fallback_relay='

# Mail to this domain goes by it. Equal MXs are tried in an order drawn anew for each delivery.
printf '%s\t%s\n' '{domain}' 'honcho-post:' > "$directory/honcho-transport"
postmap "$kind:$directory/honcho-transport"
case " $(postconf -h transport_maps) " in
  *"honcho-transport"*) ;;
  *) postconf -e "transport_maps = $(postconf -h transport_maps) $kind:$directory/honcho-transport" ;;
esac

# Of all mail: a log that waited for its receivers for a month bounces even so. honcho-guest's identities live longer.
postconf -e 'maximal_queue_lifetime = 30d' 'bounce_queue_lifetime = 30d' \
  'queue_run_delay = 60s' 'minimal_backoff_time = 60s' 'maximal_backoff_time = 15m'

postfix check
if postfix status > /dev/null 2>&1; then postfix reload; fi
"#,
        local = arguments.to.local,
    )
}

fn nullmailer(arguments: &SenderArguments) -> String {
    let CertificateArguments { ca, certificate, key } = &arguments.certificates;
    let remotes: Vec<String> = arguments
        .mx
        .iter()
        .map(|mx| {
            format!("{mx} smtp port=25 starttls x509cafile={ca} x509certfile={certificate} x509keyfile={key}")
        })
        .collect();
    format!(
        r"#!/bin/sh
# nullmailer of a server that sends slow logs and no other mail. Run as root; it may be run again.
# It knows no MXs: the receivers are tried in this order, and the next one only when the one before does not answer. Mail that a
# receiver refuses for good goes to /var/spool/nullmailer/failed and is not sent again (the receivers that `honcho mail config
# receiver` sets up refuse nothing for good). The receiver must show a certificate of the CA with the name given here.
set -eu
cat > /etc/nullmailer/remotes <<'REMOTES'
{}
REMOTES
chmod 600 /etc/nullmailer/remotes
chown mail:mail /etc/nullmailer/remotes
# nullmailer runs as the user mail, and shows this certificate.
chgrp mail '{key}'
chmod 640 '{key}'
# It is tried for a month.
printf '%s\n' 2592000 > /etc/nullmailer/queuelifetime
printf '%s\n' 60 > /etc/nullmailer/pausetime
",
        remotes.join("\n")
    )
}

fn opensmtpd(arguments: &SenderArguments) -> String {
    let CertificateArguments { ca, certificate, key } = &arguments.certificates;
    let Address { local, domain } = &arguments.to;
    format!(
        r#"#!/bin/sh
# OpenSMTPD of a server that sends slow logs to {local}@{domain}. Run as root, once: it adds to /etc/smtpd.conf, whose `match` lines
# are read from above. The receiver must show a certificate that verifies ("tls"); OpenSMTPD takes the CAs of the system for that,
# to which the own one is added here. Mail that a receiver refuses for good bounces (the receivers that `honcho mail config receiver`
# sets up refuse nothing for good).
set -eu
# OpenSMTPD 6.8, which is Debian 12's, can show no certificate, of whatever kind ("missing private key"): no log would leave.
case $(smtpd -h 2>&1) in
  *'OpenSMTPD 6.8'*)
    echo 'OpenSMTPD 6.8 cannot show a client certificate: take Postfix or nullmailer, or OpenSMTPD 7 (Debian 13)' >&2
    exit 1
    ;;
esac
cp '{ca}' /usr/local/share/ca-certificates/honcho-mail.crt
update-ca-certificates
{{
  printf '%s\n' \
    'pki honcho cert "{certificate}"' \
    'pki honcho key "{key}"' \
    'queue ttl 30d' \
    'action "honcho-post" relay tls pki honcho' \
    'match from local for domain "{domain}" action "honcho-post"'
  cat /etc/smtpd.conf
}} > /etc/smtpd.conf.new
smtpd -n -f /etc/smtpd.conf.new
mv /etc/smtpd.conf.new /etc/smtpd.conf
"#
    )
}
