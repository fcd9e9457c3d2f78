//! Forged tables of sections, with sound checksums, in every kind of sealed file: a wrong table is refused by file and
//! section, an unknown optional section is skipped, and an unknown required one is refused as another version's.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![expect(unsafe_code, reason = "an allocator that remembers the largest request has to be one")]

mod fixtures;

use fixtures::memory::MemoryDir;
use fixtures::parts::{Parts, put_sealed};
use fixtures::*;
use omen::error::Error;
use omen::format::{Kind, Manifest, REQUIRED, SECTIONS_MAX, Section};
use omen::store::Mode;
use omen::work::Work;
use std::sync::{Arc, OnceLock};

/// A number that no kind of section has.
const UNKNOWN: u32 = 1000;

/// One sealed file of a store.
struct Case {
    kind: &'static str,
    fixture: Arc<Fixture>,
    manifest: Manifest,
    index: usize,
    name: String,
    id: u64,
    parts: Parts,
}

impl Case {
    /// The store with `parts` in the place of this file.
    fn store_with(&self, parts: &mut Parts) -> MemoryDir {
        put_sealed(&self.fixture.dir, &self.manifest, self.index, parts.reseal(self.id))
    }

    /// The parts with their sections changed.
    fn changed(&self, change: impl FnOnce(&mut Vec<Section>)) -> Parts {
        let mut parts = self.parts.clone();
        change(&mut parts.sections);
        parts
    }

    /// Checks that the file is refused as damaged, with a message that names it and says `words`.
    fn expect_corrupt(&self, what: &str, mut parts: Parts, words: &[&str]) {
        self.expect_dir_corrupt(what, &self.store_with(&mut parts), words);
    }

    fn expect_dir_corrupt(&self, what: &str, dir: &MemoryDir, words: &[&str]) {
        let what = format!("{}, {}: {what}", self.kind, self.name);
        // Nothing worse happens than a refusal: no panic, no huge allocation, no other values.
        read_only_and_writing(&what, dir, &self.fixture.model);
        let error = refusal(dir).unwrap_or_else(|| panic!("{what}: not refused"));
        let Error::Corrupt { file, what: said } = &error else { panic!("{what}: {error}") };
        assert_eq!(file, &self.name, "{what}: {error}");
        assert!(words.iter().all(|word| said.contains(word)), "{what}: {error}, expected {words:?}");
    }

    /// Checks that everything reads as before.
    fn expect_same(&self, what: &str, mut parts: Parts) {
        let dir = self.store_with(&mut parts);
        for verdict in read_only_and_writing(what, &dir, &self.fixture.model) {
            assert_eq!(verdict, Verdict::Same { verified: Ok(()) }, "{}, {}: {what}", self.kind, self.name);
        }
    }
}

/// The error of opening, reading or verifying a store, whichever comes first.
fn refusal(dir: &MemoryDir) -> Option<Error> {
    let store = match open(dir, 0, Mode::ReadOnly, tuning(0, NEVER)) {
        Ok(store) => store,
        Err(error) => return Some(error),
    };
    read_all(&store).err().or(store.verify(&mut Work::default()).err())
}

/// Every sealed file of every kind of store.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let mut cases = Vec::new();
        for (kind, fixture) in fixtures(1) {
            let manifest = manifest_of(&fixture.dir);
            let fixture = Arc::new(fixture);
            for (index, entry) in manifest.files.iter().enumerate() {
                let (name, id) = (entry.kind.file_name(entry.id), entry.id);
                let parts = Parts::of(&fixture.dir.bytes(&name), id);
                let (fixture, manifest) = (Arc::clone(&fixture), manifest.clone());
                cases.push(Case { kind, fixture, manifest, index, name, id, parts });
            }
        }
        let kinds: Vec<Kind> = cases.iter().map(|case| case.manifest.files[case.index].kind).collect();
        assert!([Kind::Log, Kind::Raw, Kind::Code, Kind::Tombstones].iter().all(|kind| kinds.contains(kind)));
        cases
    })
}

/// How messages name a section.
fn named(section: &Section) -> String {
    format!("section {}", section.name())
}

#[test]
fn a_table_without_one_of_its_sections_is_damage() {
    for case in cases() {
        for section in &case.parts.sections {
            let cut = case.changed(|sections| sections.retain(|other| other.kind != section.kind));
            case.expect_corrupt("one section less", cut, &[&named(section), "missing"]);
        }
    }
}

#[test]
fn a_table_of_another_length_than_the_footer_says_is_damage() {
    for case in cases() {
        let entries = case.parts.footer.sections;
        for claimed in [0, entries - 1, entries + 1, SECTIONS_MAX, SECTIONS_MAX + 1, u32::MAX] {
            let mut parts = case.parts.clone();
            parts.footer.sections = claimed;
            let dir = put_sealed(&case.fixture.dir, &case.manifest, case.index, parts.seal(case.id));
            case.expect_dir_corrupt(&format!("{claimed} sections claimed"), &dir, &["sections"]);
        }
        // The last entry is cut in the middle, and the file is as long as that makes it.
        let (mut bytes, root) = case.parts.seal(case.id);
        let footer_at = bytes.len() - omen::format::FOOTER_BYTES;
        drop(bytes.drain(footer_at - 7..footer_at));
        let dir = put_sealed(&case.fixture.dir, &case.manifest, case.index, (bytes, root));
        case.expect_dir_corrupt("half an entry", &dir, &["sections"]);
    }
}

#[test]
fn a_section_listed_twice_is_damage() {
    for case in cases() {
        for section in &case.parts.sections {
            let words = [named(section), "twice".to_owned()];
            let empty = Section { length: 0, count: 0, ..*section };
            for second in [*section, empty] {
                for at in [0, case.parts.sections.len()] {
                    let doubled = case.changed(|sections| sections.insert(at, second));
                    case.expect_corrupt("listed twice", doubled, &[&words[0], &words[1]]);
                }
            }
        }
    }
}

#[test]
fn overlapping_sections_are_damage() {
    let mut overlaps = 0;
    for case in cases() {
        let data_bytes = case.parts.data.len() as u64;
        let with_bytes = |section: &&Section| section.length > 0;
        for (index, section) in case.parts.sections.iter().enumerate().filter(|(_, section)| section.length > 0) {
            for other in case.parts.sections.iter().filter(with_bytes).filter(|other| other.kind != section.kind) {
                for offset in [other.offset, other.offset + other.length - 1] {
                    if offset + section.length > data_bytes {
                        continue;
                    }
                    overlaps += 1;
                    let forged = case.changed(|sections| sections[index].offset = offset);
                    case.expect_corrupt("overlapping", forged, &["section ", "overlaps section "]);
                }
            }
        }
        // An unknown section over a known one, and a known one with one byte too many over the next.
        let over = Section { kind: UNKNOWN, flags: 0, ..case.parts.sections[0] };
        let forged = case.changed(|sections| sections.push(over));
        case.expect_corrupt("an unknown section over another", forged, &["overlaps section ", &UNKNOWN.to_string()]);
    }
    assert!(overlaps > 20, "{overlaps}");
}

#[test]
fn sections_outside_the_data_are_damage() {
    for case in cases() {
        let data_bytes = case.parts.data.len() as u64;
        let header_bytes = Kind::parse(&case.name).unwrap().0.header_bytes() as u64;
        for (index, section) in case.parts.sections.iter().enumerate() {
            let name = named(section);
            let Section { offset, length, .. } = *section;
            let places = [
                (0, length),
                (header_bytes - 1, length),
                (data_bytes + 1, 0),
                (data_bytes, 1),
                (data_bytes - length + 1, length),
                (offset, data_bytes - offset + 1),
                (offset, u64::MAX),
                (u64::MAX, length.max(1)),
                (u64::MAX - length, length),
            ];
            for (offset, length) in places {
                let forged =
                    case.changed(|sections| (sections[index].offset, sections[index].length) = (offset, length));
                case.expect_corrupt(&format!("{length} bytes at {offset}"), forged, &[&name, "data bytes"]);
            }
        }
    }
}

#[test]
fn sections_of_a_wrong_length_or_count_are_damage() {
    for case in cases() {
        for (index, section) in case.parts.sections.iter().enumerate() {
            let (length, count) = (section.length, section.count);
            let numbers =
                |n: u64| [0, n / 2, n.wrapping_sub(1), n + 1, 1 << 32, u64::MAX].into_iter().filter(move |m| *m != n);
            for length in numbers(length) {
                let forged = case.changed(|sections| sections[index].length = length);
                case.expect_corrupt(&format!("{} of {length} bytes", named(section)), forged, &["section "]);
            }
            for count in numbers(count) {
                let forged = case.changed(|sections| sections[index].count = count);
                case.expect_corrupt(&format!("{} of {count} items", named(section)), forged, &["section "]);
            }
        }
    }
}

#[test]
fn a_table_of_too_many_sections_is_damage() {
    for case in cases() {
        let spare = SECTIONS_MAX as usize - case.parts.sections.len();
        let end = case.parts.data.len() as u64;
        let optional = |count: usize| {
            let kinds = (UNKNOWN..).take(count);
            case.changed(|sections| {
                sections.extend(kinds.map(|kind| Section { kind, flags: 0, offset: end, length: 0, count: 7 }));
            })
        };
        case.expect_same("as many sections as there may be", optional(spare));
        case.expect_corrupt("one too many", optional(spare + 1), &["sections", "65", "64"]);
    }
}

#[test]
fn unknown_flags_are_damage() {
    for case in cases() {
        for (index, section) in case.parts.sections.iter().enumerate() {
            for flag in [2, 1 << 31] {
                let forged = case.changed(|sections| sections[index].flags |= flag);
                case.expect_corrupt("an unknown flag", forged, &[&named(section), "flags"]);
            }
        }
    }
}

#[test]
fn an_unknown_optional_section_is_skipped_wherever_it_is() {
    for case in cases() {
        for at in [0, case.parts.sections.len()] {
            let mut parts = case.parts.clone();
            let offset = parts.data.len() as u64 + 11;
            parts.data.extend([0xa5; 11 + 5000]);
            let optional = Section { kind: UNKNOWN, flags: 0, offset, length: 5000, count: 3 };
            parts.sections.insert(at, optional);
            case.expect_same("an unknown optional section", parts);
        }
        let reversed = case.changed(|sections| sections.reverse());
        case.expect_same("sections in another order", reversed);
    }
}

#[test]
fn an_unknown_required_section_is_another_versions() {
    for case in cases() {
        for kind in [0, UNKNOWN, u32::MAX] {
            let offset = case.parts.data.len() as u64;
            let required = Section { kind, flags: REQUIRED, offset, length: 0, count: 0 };
            let mut forged = case.changed(|sections| sections.push(required));
            let dir = case.store_with(&mut forged);
            let before = dir.contents();
            for mode in [Mode::ReadOnly, Mode::ReadWrite] {
                let error = open(&dir, 0, mode, tuning(0, NEVER)).unwrap_err();
                assert!(
                    matches!(&error, Error::UnknownSection { file, kind: found } if *file == case.name && *found == kind)
                );
                assert_eq!(error.status(), 31);
                let message = error.to_string();
                assert!(message.contains(&case.name) && message.contains(&format!("section {kind}")), "{message}");
            }
            assert!(dir.contents().iter().all(|(name, bytes)| name == "LOCK" || before.get(name) == Some(bytes)));
        }
    }
}
