//! Mails of strangers: read or refused with a reason, in bounded memory; and what stands below the topmost `Received` is
//! never a node's name.
#![no_main]

use honcho_post::Letter;
use honcho_slowlog::Logging;

libfuzzer_sys::fuzz_target!(|mail: &[u8]| {
    if let Ok(letter) = Letter::read(mail) {
        assert!(letter.part >= 1 && letter.part <= letter.parts && letter.sequence >= 1);
        assert!(letter.length <= 256 << 20 && !letter.node.as_str().is_empty());
        if let Some(logging) = letter.logging {
            assert_eq!(Logging::read(&logging.written()), Some(logging), "what was read can be written");
        }
        let mut events = 0;
        let _ = letter.log(|batch| events += batch.events(|_| ()).events);
        assert!(events <= letter.length);
    }
    let received = [b"Received: from x by y\n", mail].concat();
    assert!(Letter::read(&received).is_err(), "the sender's own word was believed");
});
