//! Many requests and large tables: nothing is lost, nothing hangs, every failure finds its request.

use std::thread;

use ipvs_sys::{AddressFamily, Client, Dest, Error, Options, Request, Service};
use nix::libc;

use crate::support::{all_done, client, fwmark, numbered, route, services_by_id, socket, tcp};

pub(crate) fn failures_of_a_batch() {
    let mut client = client();
    let id = tcp("192.0.2.1:80");
    let absent = tcp("192.0.2.2:80");
    let mut requests = vec![Request::NewService(Service::new(id, "wlc"))];
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        let dest = route(&format!("10.0.{high}.{low}:80"), u32::from(number));
        // Every seventh fails in one way, the one after it in another.
        requests.push(match number % 7 {
            0 => Request::NewDest(absent, dest),
            1 => Request::NewDest(id, Dest { lower_threshold: 1, ..dest }),
            _ => Request::NewDest(id, dest),
        });
    }
    let results = client.apply(&requests);
    assert_eq!(results.len(), requests.len());
    for (index, result) in results.iter().enumerate() {
        let errno = result.as_ref().err().map(|fault| fault.errno().unwrap());
        let expected = match index.checked_sub(1).map(|number| number % 7) {
            Some(0) => Some(libc::ESRCH),
            Some(1) => Some(libc::ERANGE),
            _ => None,
        };
        assert_eq!(errno, expected, "request {index}");
    }
    assert_eq!(
        client.dests(&id).unwrap().len(),
        results.iter().filter(|result| result.is_ok()).count() - 1
    );
}

pub(crate) fn overflow() {
    // The least buffer that the kernel allows holds a few answers only.
    let mut client =
        Client::open_with(&Options { receive_buffer: 1, ..Options::default() }).unwrap();
    let id = tcp("192.0.2.1:80");
    all_done(&client.apply(&[Request::NewService(Service::new(id, "rr"))]));
    let twice = |number: u8| {
        let dest = route(&format!("198.51.100.{number}:80"), 1);
        [Request::NewDest(id, dest), Request::NewDest(id, dest)]
    };
    let requests: Vec<_> = (1..=120).flat_map(twice).collect();
    let results = client.apply(&requests);
    assert_eq!(results.len(), requests.len());
    let lost = results.iter().filter(|result| result.as_ref().is_err_and(Error::is_lost)).count();
    assert!(lost > 0, "the buffer was too large for this trial");
    for (index, result) in results.iter().enumerate() {
        match result {
            Err(fault) if fault.is_lost() => {}
            Err(fault) => {
                assert_eq!((fault.errno(), index % 2), (Some(libc::EEXIST), 1), "request {index}");
            }
            Ok(()) => panic!("request {index} cannot be known to be done"),
        }
    }
    let text = results
        .iter()
        .find_map(|result| result.as_ref().err().filter(|fault| fault.is_lost()))
        .unwrap();
    assert!(text.to_string().ends_with("for certain: the kernel's answer was lost"), "{text}");

    // All were made, as a fresh look shows, and the client goes on working.
    assert_eq!(client.dests(&id).unwrap().len(), 120);
    let deletions: Vec<_> = (1..=120)
        .map(|number| Request::DelDest(id, socket(&format!("198.51.100.{number}:80"))))
        .collect();
    all_done(&client.apply(&deletions));
    assert_eq!(client.dests(&id).unwrap(), []);
}

pub(crate) fn large_tables() {
    let mut client = client();
    let one = tcp("192.0.2.1:80");
    let mut requests = vec![Request::NewService(Service::new(one, "wlc"))];
    requests.extend((0..5000).map(|number| Request::NewDest(one, numbered(number))));
    requests.extend(
        (1..3000_u32)
            .map(|mark| Request::NewService(Service::new(fwmark(AddressFamily::V4, mark), "rr"))),
    );
    all_done(&client.apply(&requests));
    let mut dests: Vec<_> = client.dests(&one).unwrap().iter().map(|entry| entry.dest).collect();
    dests.sort_by_key(|dest| dest.address);
    assert_eq!(dests, (0..5000).map(numbered).collect::<Vec<_>>());
    // Other trials change their tables meanwhile, and the kernel counts the services of all where it resumes a dump, so
    // that one can be hidden or come twice (`Client::services`): a dump that nobody disturbed is whole.
    let mut dumps = (0..50).map(|_| services_by_id(&mut client));
    let services = dumps.find(|services| services.len() == 3000).unwrap();
    let marks = services.iter().skip(1).map(|entry| entry.service.id);
    assert!(marks.eq((1..3000).map(|mark| fwmark(AddressFamily::V4, mark))));
}

pub(crate) fn dumps_while_the_table_changes() {
    let mut client = client();
    let mut writer = Client::open().unwrap();
    let id = tcp("192.0.2.1:80");
    let mut requests = vec![Request::NewService(Service::new(id, "wlc"))];
    requests.extend((0..1000).map(|number| Request::NewDest(id, numbered(number))));
    all_done(&client.apply(&requests));
    thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for round in 0..20 {
                let late = 1000 + round;
                all_done(&writer.apply(&[
                    Request::NewDest(id, numbered(late)),
                    Request::NewService(Service::new(fwmark(AddressFamily::V4, late + 1), "rr")),
                ]));
            }
        });
        while !changes.is_finished() {
            assert!(client.dests(&id).unwrap().len() >= 1000);
            assert!(!client.services().unwrap().is_empty());
        }
    });
    assert_eq!(client.dests(&id).unwrap().len(), 1020);
    assert_eq!(client.services().unwrap().len(), 21);
}
