//! A customer's root filesystem on its way to the brain: its client is killed, the brain is killed while it receives and
//! while it seals. It becomes one image, and nothing else is left.

use anyhow::{Context as _, Result, ensure};
use honcho_api::{AccountCreate, Image, ImageUpload, Token, TokenCreate};
use honcho_e2e::brain::Brain;
use honcho_e2e::programs::{Process, program};
use honcho_e2e::world::eventually;
use sha2::Digest as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_mins(2);

/// So much does not compress.
const SIZE: usize = 96 << 20;

/// A system that boots, as far as anybody looks, and much besides.
fn root_filesystem(file: &Path) -> Result<()> {
    let mut builder = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(file)?));
    let mut state = 1_u64;
    let mut noise = vec![0; SIZE];
    for chunk in noise.chunks_mut(8) {
        // An xorshift generator (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    let files: [(&str, u32, &[u8]); 4] = [
        ("./sbin/init", 0o755, b"#!/bin/sh\n"),
        ("./boot/vmlinuz-6.1", 0o644, b"a kernel"),
        ("./etc/os-release", 0o644, b"ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"),
        ("./srv/noise", 0o644, &noise),
    ];
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, path, content)?;
    }
    builder.into_inner()?.into_inner()?.sync_all()?;
    Ok(())
}

struct Customer {
    brain: Brain,
    directory: PathBuf,
    token: PathBuf,
    file: PathBuf,
}

impl Customer {
    async fn new(directory: &Path) -> Result<Customer> {
        let brain = Brain::start(directory).await?;
        let client = brain.client()?;
        let body = AccountCreate { name: Some("acme".to_owned()), ..AccountCreate::default() };
        let account = client.create::<honcho_api::Account>(&body).await?;
        let body = TokenCreate {
            name: Some("ann".to_owned()),
            scope: Some("admin".to_owned()),
            account_id: Some(account.id),
            ..TokenCreate::default()
        };
        let token = directory.join("ann.token");
        std::fs::write(
            &token,
            client.create::<Token>(&body).await?.secret.context("a new token has a secret")?,
        )?;
        let file = directory.join("rootfs.tar");
        root_filesystem(&file)?;
        Ok(Customer { brain, directory: directory.to_owned(), token, file })
    }

    /// `honcho image upload`, which goes on while the test does.
    fn upload(&self, number: usize) -> Result<Process> {
        let mut command = Command::new(program("honcho")?);
        command.args(["--url", &self.brain.url(), "--token-file"]).arg(&self.token);
        command.args(["image", "upload"]).arg(&self.file).args(["--name", "own"]);
        Process::start(&mut command, &self.log(number))
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("client-{number}.log"))
    }

    fn uploads(&self) -> PathBuf {
        self.brain.data().join("uploads")
    }

    /// How much has come.
    fn received(&self) -> u64 {
        let files = std::fs::read_dir(self.uploads()).into_iter().flatten().flatten();
        files
            .filter_map(|file| file.metadata().ok())
            .filter(|found| found.is_file())
            .map(|found| found.len())
            .sum()
    }

    async fn received_more_than(&self, bytes: u64) -> Result<()> {
        let waited = async {
            while self.received() <= bytes {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.context("nothing comes")
    }

    /// What the brain thinks of it, once it answers.
    async fn status(&self) -> Result<ImageUpload> {
        let uploads = honcho_e2e::brain::persistently(async || {
            self.brain.client_with(&std::fs::read_to_string(&self.token).unwrap()).unwrap().list(&[]).await
        });
        let uploads: Vec<ImageUpload> = uploads.await?;
        let [one] =
            <[ImageUpload; 1]>::try_from(uploads).map_err(|all| anyhow::anyhow!("not one: {all:?}"))?;
        Ok(one)
    }
}

/// Processes that seal, of this brain.
fn sealing(uploads: &Path) -> usize {
    let commands = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let commands = commands.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let uploads = uploads.to_string_lossy().into_owned();
    commands
        .map(|command| String::from_utf8_lossy(&command).into_owned())
        .filter(|command| command.contains("\0seal\0") && command.contains(&uploads))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_its_client_and_its_brain() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut customer = Customer::new(directory.path()).await?;
    let mut client = customer.upload(1)?;
    customer.received_more_than(8 << 20).await?;
    client.kill();
    let (before, status) = (customer.received(), customer.status().await?);
    ensure!(status.status == "receiving", "the client was too quick for this test: {status:?}");
    // The same command goes on there, and through a brain that is killed.
    let mut client = customer.upload(2)?;
    customer.received_more_than(before + (8 << 20)).await?;
    customer.brain.kill();
    let kept = customer.received();
    assert!(client.runs(), "it waits for the brain: {}", std::fs::read_to_string(customer.log(2))?);
    customer.brain.resume().await?;
    assert!(customer.status().await?.received_bytes >= i64::try_from(kept)?, "what has come is kept");
    // Sealing begins anew where the brain is killed in the midst of it, and its process ends with it.
    eventually("it is sealed", PATIENCE, async || {
        let status = customer.status().await?;
        ensure!(status.status == "sealing" && sealing(&customer.uploads()) > 0, "{status:?}");
        Ok(())
    })
    .await?;
    customer.brain.kill();
    eventually("nothing seals any more", PATIENCE, async || {
        ensure!(sealing(&customer.uploads()) == 0, "a process that seals outlived its brain");
        Ok(())
    })
    .await?;
    customer.brain.resume().await?;
    let done = eventually("it is an image", PATIENCE, async || {
        let status = customer.status().await?;
        ensure!(status.status == "done", "{status:?}\n{}", customer.brain.log());
        Ok(status)
    })
    .await?;
    let image: Image = customer.brain.client()?.get(done.image_id.context("an image")?).await?;
    assert_eq!(image.distribution_name.as_deref(), Some("Alpine Linux v3.20"));
    let blob = std::fs::read(customer.brain.blob(&image.digest))?;
    assert_eq!(hex::encode(sha2::Sha256::digest(&blob)), image.digest);
    let unpacked = zstd::decode_all(blob.as_slice())?;
    assert!(unpacked.len() > SIZE && unpacked.len() < SIZE + (1 << 20), "{}", unpacked.len());
    eventually("nothing else is left", PATIENCE, async || {
        let left: Vec<_> =
            std::fs::read_dir(customer.uploads())?.flatten().map(|entry| entry.path()).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    // And the client, which saw all of it, says so.
    eventually("the client ends", PATIENCE, async || {
        let said = std::fs::read_to_string(customer.log(2))?;
        ensure!(said.contains("Alpine Linux v3.20") && said.contains("of it already"), "{said}");
        Ok(())
    })
    .await
}
