//! Where a bucket is, and by whose right: as the programs of AWS are told, by the environment.

use crate::command_error::CommandError;
use reqwest::Url;
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::path::PathBuf;

pub(super) struct Settings {
    pub(super) credentials: Credentials,
    pub(super) bucket: Bucket,
    /// The CA certificates to go by, in place of the system's.
    pub(super) ca: Option<PathBuf>,
}

impl Settings {
    pub(super) fn read(
        bucket: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CommandError> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let needed = |name: &str| {
            set(name).ok_or_else(|| {
                CommandError::usage(format!("{name} is not set, and s3://{bucket} needs it"))
                    .hint("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say by whose right, AWS_REGION where; AWS_ENDPOINT_URL, of what is not AWS's")
            })
        };
        let (key, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let credentials = match set("AWS_SESSION_TOKEN") {
            Some(token) => Credentials::new_with_token(key, secret, token),
            None => Credentials::new(key, secret),
        };
        let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        let named = named.into_iter().find_map(|name| Some((name, set(name)?)));
        let (source, endpoint, style) = if let Some((name, endpoint)) = named {
            // Whoever is not AWS knows buckets by the path, and often by nothing else.
            (name, endpoint, UrlStyle::Path)
        } else {
            let ending = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            // AWS's certificate is for one word before its own name.
            let style = if bucket.contains('.') { UrlStyle::Path } else { UrlStyle::VirtualHost };
            ("AWS_REGION", format!("https://s3.{region}.{ending}"), style)
        };
        let wrong = |why: String| {
            let example = "https://s3.eu-central-1.amazonaws.com, or http://127.0.0.1:9000";
            CommandError::usage(format!("{source} leads nowhere: {endpoint:?} is {why}"))
                .hint(format!("an address as in {example}"))
        };
        let url = endpoint.parse::<Url>().map_err(|error| wrong(format!("no address ({error})")))?;
        let bucket = Bucket::new(url, style, bucket.to_owned(), region)
            .map_err(|error| wrong(format!("no place for a bucket ({error})")))?;
        Ok(Settings { credentials, bucket, ca: set("AWS_CA_BUNDLE").map(PathBuf::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bucket: &str, environment: &[(&str, &str)]) -> Result<Settings, CommandError> {
        let variable = |asked: &str| {
            let found = environment.iter().find(|(name, _)| *name == asked)?;
            Some(found.1.to_owned())
        };
        Settings::read(bucket, variable)
    }

    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "secret")];

    #[test]
    fn a_bucket_is_where_the_programs_of_aws_find_it() {
        let place = |bucket: &str, more: &[(&str, &str)]| {
            let settings = read(bucket, &[&KEY[..], more].concat()).unwrap();
            format!("{} {}", settings.bucket.base_url(), settings.bucket.region())
        };
        assert_eq!(place("apt", &[]), "https://apt.s3.us-east-1.amazonaws.com/ us-east-1");
        let here = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-central-1")];
        assert_eq!(
            place("apt.example.com", &here),
            "https://s3.eu-central-1.amazonaws.com/apt.example.com/ eu-central-1"
        );
        let china = [("AWS_DEFAULT_REGION", "cn-north-1"), ("AWS_ENDPOINT_URL", " ")];
        assert_eq!(place("apt", &china), "https://apt.s3.cn-north-1.amazonaws.com.cn/ cn-north-1");
        let other = [("AWS_ENDPOINT_URL", "http://other"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")];
        assert_eq!(place("apt", &other), "http://127.0.0.1:9000/apt/ us-east-1");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for environment in [&[][..], &KEY[..1], &[KEY[0], ("AWS_SECRET_ACCESS_KEY", "")]] {
            assert!(read("apt", environment).is_err());
        }
        for bad in ["nowhere", "ftp://a", "http://"] {
            let Err(error) = read("apt", &[&KEY[..], &[("AWS_ENDPOINT_URL", bad)]].concat()) else {
                panic!("{bad}")
            };
            assert!(format!("{error:?}").contains("AWS_ENDPOINT_URL leads nowhere"), "{error:?}");
        }
        let token = read("apt", &[&KEY[..], &[("AWS_SESSION_TOKEN", "t")]].concat()).unwrap();
        assert_eq!(token.credentials.token(), Some("t"));
    }
}
