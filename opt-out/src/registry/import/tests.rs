//! Tests of imports: made again, taken back, cut, over programs that derive other forms.

use event::identifier::IdKind;
use tempfile::tempdir;

use super::super::tests::{keys, open, opt_out, wait};
use super::*;
use crate::tests::Random;

/// An id whose line is named by its first hash.
fn id(hashes: Vec<OptOutHash>) -> Id {
    Id { line: hashes[0], hashes }
}

fn register(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

#[test]
fn an_import_that_is_made_again_changes_nothing_however_it_is_cut_and_over_reopenings() {
    let mut random = Random::announced();
    let (dir, keys, name) = (tempdir().unwrap(), keys(), register("national"));
    let ids: Vec<Id> = (0..200).map(|_| id((0..4).map(|_| random.opt_out_hash()).collect())).collect();
    let (registry, list) = open(&dir, &keys);
    let lodge = |registry: &Registry, ids: &[Id]| {
        let entered = wait(registry.import(&name, Act::Lodge, ids)).unwrap();
        entered.iter().filter(|entered| **entered == Entered::Done).count()
    };
    assert_eq!(lodge(&registry, &ids[..150]), 150);
    let mut turned: Vec<Id> = ids.iter().rev().cloned().collect();
    for id in &mut turned {
        id.hashes.reverse();
    }
    turned.push(ids[7].clone());
    assert_eq!(lodge(&registry, &turned), 50, "what was not there yet, and no repeat");
    assert_eq!((list.len(), registry.stats().receipts, registry.stats().hashes), (800, 200, 800));
    registry.close();
    drop((registry, list));

    let (registry, list) = open(&dir, &keys);
    assert!(ids.iter().flat_map(|id| &id.hashes).all(|hash| list.contains(hash)));
    assert_eq!(lodge(&registry, &ids), 0);
    assert_eq!((list.len(), registry.stats().hashes_shared), (800, 0));
}

#[test]
fn what_a_register_takes_back_stays_listed_where_another_or_the_person_lodged_it_too() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (registry, list) = open(&dir, &keys);
    let (mine, others) = (register("mine"), register("others"));
    let hash = |number: u8| OptOutHash([number; 16]);
    // Two ids that share a form, within one import.
    let ids = [vec![hash(1), hash(2)], vec![hash(2), hash(3)], vec![hash(4)], vec![hash(5)]].map(id);
    let import = |name: &AppName, act, ids: &[Id]| wait(registry.import(name, act, ids)).unwrap();
    import(&mine, Act::Lodge, &ids);
    import(&others, Act::Lodge, &ids[2..3]);
    opt_out(&registry, &ids[3].hashes);
    let listed = || (1..=5).filter(|number| list.contains(&hash(*number))).collect::<Vec<_>>();

    assert_eq!(import(&mine, Act::TakeBack, &ids[..1]), [Entered::Done]);
    assert_eq!(listed(), [2, 3, 4, 5], "what two ids share stays with the other");
    assert_eq!(
        import(&mine, Act::TakeBack, &ids),
        [Entered::Nothing, Entered::Done, Entered::Done, Entered::Done]
    );
    assert_eq!(listed(), [4, 5]);
    assert_eq!(import(&others, Act::TakeBack, &ids[3..]), [Entered::Nothing], "it never lodged that");
    assert_eq!(import(&mine, Act::Lodge, &ids[..1]), [Entered::Done], "and back in");
    assert_eq!(listed(), [1, 2, 4, 5]);
    registry.close();
    drop(registry);

    let (_, list) = open(&dir, &keys);
    assert_eq!((1..=5).filter(|number| list.contains(&hash(*number))).count(), 4);
}

#[test]
fn a_record_that_was_written_although_that_was_said_to_fail_is_no_damage() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (registry, _) = open(&dir, &keys);
    let plan = registry.plan_lodging(&register("r"), &[id(vec![OptOutHash([1; 16])])]).unwrap();
    let Log::Journal { log, .. } = &registry.0.log else { panic!("a journal") };
    // On the disk, and unknown to the ledger; then once more.
    wait(log.append(&plan.records[0]).unwrap()).unwrap();
    wait(registry.import(&register("r"), Act::Lodge, &[id(vec![OptOutHash([1; 16])])])).unwrap();
    registry.close();
    drop(registry);
    let (registry, list) = open(&dir, &keys);
    assert_eq!((registry.stats().receipts, registry.stats().hashes, list.len()), (1, 1, 1));
}

#[test]
fn the_limits_hold_for_a_whole_portion() {
    let dir = tempdir().unwrap();
    let mut settings = crate::Settings::default();
    settings.registry.receipts_max = 10;
    let (registry, list) = Registry::open(dir.path(), &settings, event::clock::Clock::manual(0)).unwrap();
    registry.bind_key(&keys()).unwrap();
    let ids: Vec<Id> = (0..11).map(|number| id(vec![OptOutHash([number; 16])])).collect();
    let import = |ids: &[Id]| wait(registry.import(&register("r"), Act::Lodge, ids));
    assert!(matches!(import(&ids), Err(RegistryError::Full { limit: "opt_out.registry.receipts_max" })));
    assert!(list.is_empty(), "none of it");
    assert_eq!(import(&ids[..10]).unwrap().len(), 10);
    assert!(matches!(
        import(&[Id { line: OptOutHash([1; 16]), hashes: Vec::new() }]),
        Err(RegistryError::HashCount)
    ));
}

/// Registries hold these: a change would lodge every line again, and take none back.
#[test]
fn the_number_of_a_registers_line_is_for_good() {
    let keys = event::key::KeyRing::from_file_text(
        "sightline-keys 1\n\
         epoch 1 current 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\
         opt-out 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n\
         checksum cbe7aec8800473984a6247b6347c14e2\n",
    )
    .unwrap();
    let national = Source::Register(register("national"));
    let of = |kind, value: &str| {
        let line = event::identifier::line_hash(kind, value.as_bytes(), &keys);
        number(NUMBER_OF, &national, &[line], 0).to_string()
    };
    let imei = "A76H-J30W-398Q-7V4W";
    for written in ["868049039501257", " 86 804903-950125 7", "868049-03-950125-7"] {
        assert_eq!(of(IdKind::Imei, written), imei, "{written}");
    }
    assert_ne!(of(IdKind::Imei, "86804903950125"), imei, "a line that is written otherwise is another");
    for written in ["1FE9A970-EFBB-29E0-0BDD-F5DBBF751AB5", "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5\n"] {
        assert_eq!(of(IdKind::Oaid, written), "FW0R-WD4A-MNYQ-TZHC", "{written}");
    }
    assert_eq!(
        number(NUMBER_OF_FIRST, &national, &[OptOutHash([1; 16])], 0).to_string(),
        "3FSY-K3NE-15VA-VP4H"
    );
}

#[test]
fn a_program_that_derives_other_forms_finds_what_an_earlier_one_lodged() {
    let (dir, keys, name) = (tempdir().unwrap(), keys(), register("national"));
    let hash = |number: u8| OptOutHash([number; 16]);
    let of = |hashes: &[u8]| [Id { line: hash(99), hashes: hashes.iter().map(|n| hash(*n)).collect() }];
    let import =
        |registry: &Registry, act, hashes: &[u8]| wait(registry.import(&name, act, &of(hashes))).unwrap();
    let (registry, list) = open(&dir, &keys);
    assert_eq!(import(&registry, Act::Lodge, &[1, 2]), [Entered::Done]);
    assert_eq!(import(&registry, Act::Lodge, &[2]), [Entered::Nothing], "fewer forms: nothing is missing");
    assert_eq!(import(&registry, Act::Lodge, &[1, 2, 3]), [Entered::Done], "one more form");
    assert_eq!(import(&registry, Act::Lodge, &[1, 2, 3]), [Entered::Nothing]);
    assert_eq!((registry.stats().hashes, list.len()), (3, 3), "no hash twice");
    registry.close();
    drop((registry, list));
    let (registry, list) = open(&dir, &keys);
    assert_eq!(import(&registry, Act::TakeBack, &[1, 2, 3, 4]), [Entered::Done], "by yet another program");
    assert!(list.is_empty(), "all of it");
    assert_eq!(import(&registry, Act::TakeBack, &[1, 2, 3, 4]), [Entered::Nothing]);
}

#[test]
fn what_was_lodged_under_a_number_of_the_first_form_is_found() {
    let (dir, keys, name) = (tempdir().unwrap(), keys(), register("national"));
    let (registry, list) = open(&dir, &keys);
    let source = Source::Register(name.clone());
    let hashes = [OptOutHash([1; 16]), OptOutHash([2; 16])];
    let record = Record::OptedOut(OptedOut {
        receipt: number(NUMBER_OF_FIRST, &source, &hashes, 0),
        at_ms: 1,
        source,
        policy_version: 0,
        secret: NOBODYS,
        hashes: hashes.to_vec().into(),
    });
    wait(registry.commit_all(vec![record])).unwrap();
    let id = [Id { line: OptOutHash([99; 16]), hashes: hashes.to_vec() }];
    assert_eq!(wait(registry.import(&name, Act::Lodge, &id)).unwrap(), [Entered::Nothing]);
    assert_eq!(wait(registry.import(&name, Act::TakeBack, &id)).unwrap(), [Entered::Done]);
    assert!(list.is_empty());
}
