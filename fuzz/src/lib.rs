//! What makes inputs of formats that check themselves be read further than their first line.

use std::fmt::Write as _;

const BLOCK: usize = 512;

/// A tar whose headers have the sums that they should have.
pub fn with_good_sums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        at += BLOCK;
        if header.iter().all(|byte| *byte == 0) {
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok().map(str::trim);
        let size = size.and_then(|size| usize::from_str_radix(size, 8).ok()).unwrap_or_default();
        at = at.saturating_add(size.min(1 << 40).next_multiple_of(BLOCK));
    }
    tar
}

/// Base64 (RFC 4648), in lines of 70 letters.
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let all = group.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for number in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * number)) as usize & 63];
            text.push(if number > group.len() { '=' } else { char::from(letter) });
        }
    }
    let mut lines = String::new();
    for line in text.as_bytes().chunks(70) {
        let _ = writeln!(lines, "{}", String::from_utf8_lossy(line));
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_everybody() {
        assert_eq!(super::base64(b"foobar"), "Zm9vYmFy\n");
        assert_eq!(super::base64(b"fooba"), "Zm9vYmE=\n");
        assert_eq!(super::base64(b"foob"), "Zm9vYg==\n");
    }
}
