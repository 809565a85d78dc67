//! COM_CHANGE_USER: read, and passed on with or without the answer to the scramble.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealwire::wire::capability::CLIENT_SECURE_CONNECTION;
use sealwire::wire::change_user::ChangeUser;

fuzz_target!(|data: &[u8]| {
    for capabilities in [CLIENT_SECURE_CONNECTION, 0] {
        let Ok(change) = ChangeUser::parse(data.to_vec(), capabilities) else { continue };
        assert_eq!(change.payload(), data);
        // What is withheld is the answer; user and schema stay, and the plugin's name is one that no account has.
        let withheld = ChangeUser::parse(change.withheld(), capabilities).expect("still a change of user");
        assert_eq!(withheld.schema, change.schema);
        assert!(withheld.auth_plugin == b"sealwire" || change.auth_plugin.is_empty());
    }
});
