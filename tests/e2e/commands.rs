//! Commands other than queries: each is answered as the server answers it directly, or with a clear ERR.

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Proxy, Raw, Schema, caps};

/// Both end-of-rows forms.
const EOF_FORMS: [u32; 2] = [0, caps::DEPRECATE_EOF];

on_every_server! {
    async fn simple_commands_answer_as_directly(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        for eof in EOF_FORMS {
            let mut directly = Raw::directly(&schema, caps::USUAL | eof).await;
            let mut through = Raw::through(&proxy, &schema, caps::USUAL | eof).await;
            assert_eq!(through.has(caps::DEPRECATE_EOF), directly.has(caps::DEPRECATE_EOF));
            let init_db = [&[0x02], schema.name.as_bytes()].concat();
            let commands: [&[u8]; 11] = [
                &[0x0E],             // PING
                &init_db,            // INIT_DB
                b"\x02no_such_schema",
                &[0x1B, 0, 0],       // SET_OPTION: multi-statements on
                &[0x1B, 1, 0],
                &[0x1B, 7, 0],       // an option that is not there
                &[0x1F],             // RESET_CONNECTION
                &[0x1A, 9, 0, 0, 0], // STMT_RESET of nothing
                &[0x0D],             // DEBUG: access denied
                &[0x07, 1],          // REFRESH
                &[0x0C, 0xFF, 0xFF, 0xFF, 0x7F], // PROCESS_KILL of nobody
            ];
            for command in commands {
                let expected = directly.short(command).await;
                let got = through.short(command).await;
                assert_eq!(got, expected, "command {:#04x}", command[0]);
            }
            // CREATE_DB and DROP_DB are gone since MySQL 4, DELAYED_INSERT never was, 0x2A is nobody's: not relayed.
            for command in [0x05, 0x06, 0x10, 0x2A, 0xFF] {
                assert_eq!(directly.short(&[command, b'x']).await.code(), 1047, "command {command:#04x}");
                let error = through.short(&[command, b'x']).await.error();
                assert!(error.starts_with("1047 (08S01) sealwire SW-2007: "), "{error}");
            }
            assert!(matches!(through.short(&[0x0E]).await, Reply::Ok(_)), "the session goes on");
        }
    }
}
