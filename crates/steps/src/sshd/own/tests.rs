use proptest::prelude::*;

use super::*;

fn own() -> impl Strategy<Value = Own> {
    let setting = ("[A-Z][A-Za-z]{2,9}", "[a-z0-9]{1,5}( [a-z]{1,3})?");
    let setting = setting.prop_filter("no structure", |(keyword, _)| {
        !["match", "include"].contains(&keyword.to_ascii_lowercase().as_str())
    });
    let setting = setting.prop_map(|(keyword, value)| SshdSetting { keyword, value });
    let settings = || proptest::collection::vec(setting.clone(), 1..4);
    let block = ("User [a-z]{1,4}", settings());
    (proptest::option::of(settings()), proptest::collection::vec(block, 0..3))
        .prop_map(|(global, blocks)| Own { global: global.unwrap_or_default(), blocks })
}

proptest! {
    #[test]
    fn taking_ours_out_gives_back_every_byte(
        main in "((Port 22|Match User x|match all|# c|\tPermitTTY no|\u{e4}|  )?(\n|\r\n|\n\n)){0,8}(Port 1|Match All)?",
        own in own(),
    ) {
        let with = own.put_into(&main);
        prop_assert_eq!(take_out(&with), Ok((main.clone(), own.clone())));
        prop_assert_eq!(take_out(&main), Ok((main.clone(), Own::default())));
        if own.is_empty() {
            prop_assert_eq!(with, main);
        }
    }

    #[test]
    fn our_file_is_read_as_it_was_written(own in own()) {
        prop_assert_eq!(own.drop_in().map(|text| Own::read(&text)).unwrap_or_default(), own);
    }
}

#[test]
fn marks_without_partner_are_named() {
    assert_eq!(take_out("a\n# BEGIN pipedown\nPort 1\n"), Err(2));
    assert_eq!(take_out("a\n# END pipedown\n"), Err(2));
    assert_eq!(take_out("# BEGIN pipedown\n# BEGIN pipedown\n# END pipedown\n"), Err(2));
}

#[test]
fn criteria_are_compared_by_what_they_mean() {
    assert_eq!(same_criteria("user  \"sftp\""), same_criteria("User sftp"));
    assert_ne!(same_criteria("User sftp"), same_criteria("User SFTP"));
    assert_ne!(same_criteria("User sftp"), same_criteria("Group sftp"));
}
