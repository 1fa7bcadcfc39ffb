//! Who vouches for an image: a signature is checked when it comes, kept, and checked again when somebody asks.

use super::*;
use honcho_api::{ImageKey, ImageKeyCreate as Body, ImagePackage};
use honcho_images::signing::{Signed, SigningKey};
use honcho_model::{ImageId, ImageKeyId, Name};
use honcho_store::{Filters, Tx, events, image_keys, images};

struct Signer {
    _directory: TempDir,
    key: SigningKey,
}

fn signer() -> Signer {
    let directory = tempfile::tempdir().unwrap();
    let key = SigningKey::open_or_make(&directory.path().join("key"), "ann").unwrap();
    Signer { _directory: directory, key }
}

fn image(name: &str) -> honcho_api::ImageCreate {
    let package =
        |name: &str| ImagePackage { name: name.into(), version: "1".into(), architecture: "amd64".into() };
    honcho_api::ImageCreate {
        name: Some(name.into()),
        digest: Some("ab".repeat(32)),
        unpacked_bytes: Some(50),
        packages: Some(["bash", "zsh"].map(package).into()),
        recipe: Some("name = \"own\"".into()),
        distribution: Some("debian".into()),
        ..Default::default()
    }
}

impl Signer {
    fn signed(&self, body: honcho_api::ImageCreate) -> honcho_api::ImageCreate {
        let manifest = manifest_of(&body, Bytes(5), 1_000_000_000);
        let Signed { manifest, signature } = self.key.sign(&manifest).unwrap();
        honcho_api::ImageCreate { manifest: Some(manifest), signature: Some(signature), ..body }
    }

    fn body(&self, name: &str) -> Body {
        Body { name: Some(name.into()), public_key: self.key.public_key().ok(), again: None }
    }
}

impl World {
    async fn trust(&self, body: Body) -> StoreResult<ImageKey> {
        self.ask(&ImageKeyCreate { scope: Scope::Operator, uuid: self.app.outside.uuid(), body }).await
    }

    async fn register(&self, body: honcho_api::ImageCreate) -> StoreResult<Image> {
        let (scope, uuid) = (Scope::Operator, self.app.outside.uuid());
        self.ask(&ImageCreate { scope, uuid, blob_size: Some(5), body }).await
    }

    /// How it is listed, and what comes of looking anew.
    async fn vouched(&self, id: i64) -> (String, String, String) {
        let reader = self.app.store.reader();
        let image = images::get(reader, Scope::Operator, ImageId(id)).await.unwrap();
        let told = image_signature_check(reader, &image).await.unwrap();
        (image.signature, told.status, told.problem.unwrap_or_default())
    }
}

#[tokio::test]
async fn what_is_signed_by_a_trusted_key_is_kept_with_it() {
    let world = World::new().await;
    let signer = signer();
    let no = refused(world.register(signer.signed(image("own"))).await);
    assert!(no.starts_with("signature is by the key SHA256:") && no.contains("not trusted here"), "{no}");
    let key = world.trust(signer.body("builder")).await.unwrap();
    assert_eq!(world.trust(signer.body("other-name")).await.unwrap(), key, "once is enough");
    // All that the manifest says need not be said again.
    let short = honcho_api::ImageCreate {
        digest: None,
        unpacked_bytes: None,
        packages: None,
        distribution: None,
        ..signer.signed(image("own"))
    };
    let own = world.register(short).await.unwrap();
    assert_eq!(
        (own.packages_count, own.unpacked_bytes, own.distribution.as_deref()),
        (2, 50, Some("debian"))
    );
    assert_eq!((own.signature.as_str(), own.signed_by.as_deref()), ("trusted", Some("builder")));
    let trusted = || ("trusted".to_owned(), "trusted".to_owned(), String::new());
    assert_eq!(world.vouched(own.id).await, trusted());
    let unsigned = world.register(image("unsigned")).await.unwrap();
    assert_eq!(world.vouched(unsigned.id).await.1, "none");

    world.ask(&ImageKeyDelete { scope: Scope::Operator, id: ImageKeyId(key.id) }).await.unwrap();
    let (listed, status, why) = world.vouched(own.id).await;
    assert!(
        listed == "untrusted" && status == "untrusted" && why.contains("is not trusted any more"),
        "{why}"
    );
    assert!(refused(world.register(signer.signed(image("next"))).await).contains("not trusted here"));
    assert!(refused(world.trust(signer.body("builder")).await).contains("trust-key"), "not by itself");
    world.trust(Body { again: Some(true), ..signer.body("builder") }).await.unwrap();
    assert_eq!(world.vouched(own.id).await, trusted());
    let told = events::list(world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap();
    let told: Vec<&str> =
        told.iter().map(|event| event.kind.as_str()).filter(|kind| kind.contains("key")).collect();
    assert_eq!(told, ["image_key.create", "image_key.delete", "image_key.create"]);
}

#[tokio::test]
async fn an_image_that_is_here_is_signed_by_registering_it_again() {
    let world = World::new().await;
    let signer = signer();
    world.trust(signer.body("builder")).await.unwrap();
    let unsigned = world.register(image("own")).await.unwrap();
    assert_eq!(unsigned.signature, "none");
    let fewer = honcho_api::ImageCreate { packages: None, ..image("own") };
    let no = refused(world.register(signer.signed(fewer)).await);
    assert!(
        no.contains("not of the image own that is here: the package list that was signed is another"),
        "{no}"
    );
    let again = world.register(signer.signed(image("own"))).await.unwrap();
    assert_eq!(
        (again.id, again.signature.as_str(), again.signed_by.as_deref()),
        (unsigned.id, "trusted", Some("builder"))
    );
    assert_eq!(world.vouched(unsigned.id).await.1, "trusted");
    // Once more, and without a signature: it stays as it is.
    assert_eq!(world.register(signer.signed(image("own"))).await.unwrap(), again);
    assert_eq!(world.register(image("own")).await.unwrap(), again);
    let told = events::list(world.app.store.reader(), Scope::Operator, &Filters::default()).await.unwrap();
    assert_eq!(told.iter().filter(|event| event.kind == "image.sign").count(), 1);
}

#[tokio::test]
async fn whatever_is_another_than_what_was_signed_is_refused_with_its_name() {
    let world = World::new().await;
    let signer = signer();
    world.trust(signer.body("builder")).await.unwrap();
    let own = || signer.signed(image("own"));
    let check = async |body: honcho_api::ImageCreate, expected: &str| {
        let no = refused(world.register(body).await);
        assert!(no.contains(expected), "{no}");
    };
    let other = |text: &str| Some(text.to_owned());
    let differs =
        |what: &str| format!("manifest is not of this image: the {what} that was signed is another");
    check(honcho_api::ImageCreate { name: other("else"), ..own() }, &differs("name")).await;
    check(honcho_api::ImageCreate { digest: other(&"cd".repeat(32)), ..own() }, &differs("digest")).await;
    check(honcho_api::ImageCreate { packages: Some(vec![]), ..own() }, &differs("package list")).await;
    check(honcho_api::ImageCreate { recipe: other("name = \"evil\""), ..own() }, &differs("recipe")).await;
    check(honcho_api::ImageCreate { recipe: None, ..own() }, &differs("recipe")).await;
    check(honcho_api::ImageCreate { unpacked_bytes: Some(51), ..own() }, &differs("unpacked size")).await;
    check(honcho_api::ImageCreate { distribution: other("rocky"), ..own() }, &differs("distribution")).await;
    let manifest = own().manifest.map(|text| text.replace("bash", "dash"));
    check(honcho_api::ImageCreate { manifest, ..own() }, "manifest is not what was signed").await;
    check(honcho_api::ImageCreate { signature: other("no"), ..own() }, "made for images").await;
    check(honcho_api::ImageCreate { signature: None, ..own() }, "signature can't be blank").await;
    check(honcho_api::ImageCreate { manifest: None, ..own() }, "manifest can't be blank").await;
    let (scope, uuid) = (Scope::Operator, world.app.outside.uuid());
    let longer = ImageCreate { scope, uuid, blob_size: Some(6), body: own() };
    assert!(refused(world.ask(&longer).await).contains(&differs("size")));
    // Somebody changes what is kept.
    let kept = world.register(own()).await.unwrap();
    let changed = [
        ("name", Image { name: "else".into(), ..kept.clone() }),
        ("digest", Image { digest: "cd".repeat(32), ..kept.clone() }),
        ("size", Image { compressed_bytes: 6, ..kept.clone() }),
        ("distribution", Image { distribution: None, ..kept.clone() }),
    ];
    for (what, image) in changed {
        let told = image_signature_check(world.app.store.reader(), &image).await.unwrap();
        let why = format!("its {what} is not the one that was signed");
        assert_eq!((told.status.as_str(), told.problem), ("broken", Some(why)));
    }
    let two = format!("{0}\n{0}", signer.key.public_key().unwrap());
    for bad in ["ssh-rsa AAAA", "", "ssh-ed25519", &two] {
        let body = Body { name: other("bad"), public_key: other(bad), again: None };
        refused(world.trust(body).await);
    }
    assert!(refused(world.trust(Body::default()).await).contains("public_key can't be blank"));
}

/// What somebody does who can write the database: his own key, by the name and fingerprint of another's.
struct Exchanged {
    fingerprint: String,
    line: String,
}

impl Change for Exchanged {
    type Out = ();
    async fn run<'a>(&'a self, tx: &'a Tx) -> StoreResult<()> {
        let name = Name::new("again").unwrap();
        image_keys::create(tx, Uuid::from_u128(77), &name, &self.line, &self.fingerprint).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_key_that_was_exchanged_vouches_for_nothing() {
    let world = World::new().await;
    let (signer, thief) = (signer(), signer());
    let key = world.trust(signer.body("builder")).await.unwrap();
    let own = world.register(signer.signed(image("own"))).await.unwrap();
    let (scope, id) = (Scope::Operator, ImageKeyId(key.id));
    world.ask(&ImageKeyDelete { scope, id }).await.unwrap();
    let line = thief.key.public_key().unwrap();
    world.ask(&Exchanged { fingerprint: key.fingerprint.clone(), line }).await.unwrap();
    let told = image_signature_check(world.app.store.reader(), &own).await.unwrap();
    let why = format!("the key that is kept for {} is another", key.fingerprint);
    assert_eq!((told.status.as_str(), told.problem), ("broken", Some(why)));
}
