#[test]
fn x() {
    super::Profiles::built_in();
}
