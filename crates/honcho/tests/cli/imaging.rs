//! `honcho image register`, against a real brain.

use crate::real::RealBrain;
use crate::transcript;
use expect_test::expect;
use serde_json::Value;

/// A guest's files, with one package among them.
fn tarball() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n";
    for (path, content) in [("./etc/hostname", "web\n"), ("./var/lib/dpkg/status", status)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    zstd::encode_all(builder.into_inner().unwrap().as_slice(), 3).unwrap()
}

#[tokio::test]
async fn a_tarball_becomes_an_image() {
    let brain = RealBrain::start().await;
    let file = brain.write("own.tar.zst", &tarball());
    let own = ["image", "register", &file, "--name", "own"];
    let told = brain.operate(&own, b"").await;
    let text = transcript(&told);
    assert!(text.contains("image own\n") && text.contains("packages  1\n"), "{text}");
    assert!(text.contains("sent it to "), "{text}");
    // Again, it is there already, and the same image.
    let again = brain.operate(&[&own[..], &["--json"]].concat(), b"").await;
    let image: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((image["id"].as_i64(), image["packages_count"].as_i64()), (Some(1), Some(1)));
    assert!(transcript(&again).contains("the brain has it already"));
    let packages = brain.operate(&["image", "packages", "own"], b"").await;
    assert!(transcript(&packages).contains("bash  5.2      amd64"), "{}", transcript(&packages));
    // Another tarball is not the image of that name, and what is none is said to be none.
    let other = brain.write("other.tar.zst", &zstd::encode_all(&[0_u8; 1024][..], 1).unwrap());
    let refused = brain.operate_anyway(&["image", "register", &other, "--name", "own"], b"").await;
    assert_eq!(refused.code, Some(4), "{}", transcript(&refused));
    let plain = brain.write("plain.tar", b"no tarball");
    let refused = brain.operate_anyway(&["image", "register", &plain, "--name", "new"], b"").await;
    let told = transcript(&refused).replace(&plain, "PLAIN");
    expect![[r#"
        --- stderr
        register new: read the tarball
        error: cannot read PLAIN
        caused by: Unknown frame descriptor
        hint: an image is a tar compressed with zstd: `zstd IMAGE.tar` makes one of a tar
        --- exit 1
    "#]]
    .assert_eq(&told);
}
