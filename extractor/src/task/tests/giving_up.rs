//! When a task gives a table or a run up.

use sluice_contracts::Kind;

use super::*;

/// An error that may pass, on a connection that works, is the table's own: the others are read
/// before it is tried again, and at last it is given up by its name.
#[tokio::test(start_paused = true)]
async fn a_table_that_fails_again_and_again_keeps_no_other_back() {
    let server = Server::new(|table, _| match table {
        0 => Reading::Fails(Kind::Transient),
        _ => Reading::Takes(SECOND),
    });
    let world = World::new(with_a_table_for_each_unit(manifest(&[4])), server).await;
    let (ended, receipts) = join(world.attempt("e", (0, 1), 0), async {
        tokio::time::sleep(10 * SECOND).await;
        world.receipts(0).await
    })
    .await;
    assert_eq!(receipts, 3, "the others wait for the first");
    let error = ended.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.chain().contains("tried 5 times"), "{}", error.chain());
    assert_eq!(world.server.reads.lock().unwrap().get(&(0, 0)), Some(&5));
    let failures = world.store.failures().await.unwrap();
    assert_eq!(failures.iter().map(|failure| failure.unit).collect::<Vec<_>>(), [Some((0, 0))]);
    assert!(!world.store.is_founded(1).await.unwrap(), "a second snapshot was read");
}

#[tokio::test(start_paused = true)]
async fn a_run_of_one_table_ends_after_as_few_tries_as_one_of_many() {
    let server = Server::new(|_, _| Reading::Fails(Kind::Transient));
    let world = World::new(manifest(&[1]), server).await;
    let error = world.attempt("e", (0, 1), 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error:?}");
    assert!(error.chain().contains("tried 5 times"), "{}", error.chain());
    assert_eq!(world.server.reads.lock().unwrap().get(&(0, 0)), Some(&5));
    assert_eq!(world.checks(), [check("failed-0", 0)]);
}

/// A server process that ends at every read takes the snapshot along, if no other task holds it.
#[tokio::test(start_paused = true)]
async fn a_table_that_costs_the_connection_again_and_again_keeps_no_other_back() {
    let server = Server::new(|table, _| match table {
        1 | 3 | 4 => Reading::LosesConnection,
        _ => Reading::Takes(SECOND),
    });
    let world = World::new(with_a_table_for_each_unit(manifest(&[6])), server).await;
    let error = world.attempt("e", (0, 1), 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error:?}");
    assert!(error.chain().contains("tried 3 times"), "{}", error.chain());
    let newest = world.store.generation().await.unwrap().unwrap();
    assert_eq!(world.receipts(newest).await, 3, "the others are not read");
    // A table that may cost the snapshot again is read before those that would be read in vain.
    assert_eq!(world.server.reads.lock().unwrap().get(&(0, 0)), Some(&4));
}

/// Of several tasks, whose connections end all at once, none knows which table was the reason, and
/// the unit of a healthy table takes longer than the other one needs to bring the server down.
#[tokio::test(start_paused = true)]
async fn a_table_that_crashes_the_server_is_found_among_those_of_all_tasks() {
    for guilty in [0, 2] {
        let server = Server::new(move |table, _| match table {
            _ if table == guilty => Reading::CrashesServer,
            _ => Reading::Takes(30 * SECOND),
        });
        // A task for each table.
        let world = World::new(with_a_table_for_each_unit(manifest(&[1, 1, 1, 1])), server).await;
        let tasks = (0..4).map(|task| world.attempt("e", (task, 4), 0));
        let ended = join_all(tasks).await;
        let newest = world.store.generation().await.unwrap().unwrap();
        assert_eq!(world.receipts(newest).await, 3, "the others are not read: {ended:?}");
        let failures = world.store.failures().await.unwrap();
        let units: Vec<_> = failures.iter().filter_map(|failure| failure.unit).collect();
        assert_eq!(units, [(guilty, 0)], "{failures:?}");
        assert!(failures[0].message.contains("tried 4 times"), "{failures:?}");
        let reads = world.server.reads.lock().unwrap().clone();
        assert_eq!(reads.get(&(guilty, 0)), Some(&4), "{reads:?}");
    }
}

/// Nobody knows whether a table or the server is the reason: the error names what was read.
#[tokio::test(start_paused = true)]
async fn a_run_whose_snapshots_end_again_and_again_says_what_was_read() {
    let reads = Arc::new(Mutex::new(0));
    // Every second read fails, whatever it reads.
    let server = Server::new(move |_, _| {
        let mut reads = reads.lock().unwrap();
        *reads += 1;
        if *reads % 2 == 0 { Reading::LosesConnection } else { Reading::Takes(SECOND) }
    });
    let world = World::new(with_a_table_for_each_unit(manifest(&[4])), server).await;
    let error = world.attempt("e", (0, 1), 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data, "{error:?}");
    let said = error.chain();
    assert!(said.contains("began again 5 times") && said.contains("table `t"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_two_attempts_do_not_reach_ends_the_run() {
    let server = Server::new(|_, _| Reading::Takes(SECOND));
    *server.unreachable_for.lock().unwrap() = Some(0);
    let world = World::new(manifest(&[1]), server).await;
    let started = tokio::time::Instant::now();
    assert!(world.attempt("e", (0, 1), 0).await.unwrap_err().is_transient());
    assert_eq!(world.checks(), []);
    assert_eq!(world.attempt("e", (0, 1), 1).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(world.checks(), [check("failed-0", 0)]);
    let longest = crate::GIVES_UP_AFTER + 60 * SECOND;
    assert!(started.elapsed() < longest, "{:?}", started.elapsed());
}

/// Waiting for a lock is no silence of the source: the run neither begins again nor fails as a whole,
/// however many tables are locked.
#[tokio::test(start_paused = true)]
async fn several_locked_tables_are_given_up_in_minutes_and_the_others_are_read_once() {
    let server = Server::new(|table, _| match table {
        0..4 => Reading::IsLocked,
        _ => Reading::Takes(SECOND),
    });
    let world = World::new(with_a_table_for_each_unit(manifest(&[6])), server).await;
    let started = tokio::time::Instant::now();
    let error = world.attempt("e", (0, 1), 0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error:?}");
    assert!(error.chain().contains("lock a table"), "{}", error.chain());
    assert!(started.elapsed() < 420 * SECOND, "{:?}", started.elapsed());
    let mut given_up: Vec<_> =
        world.store.failures().await.unwrap().into_iter().map(|failure| failure.unit).collect();
    given_up.sort();
    assert_eq!(given_up, [Some((0, 0)), Some((1, 0)), Some((2, 0)), Some((3, 0))]);
    assert_eq!(world.receipts(0).await, 2);
    assert!(!world.store.is_founded(1).await.unwrap(), "a second snapshot was read");
}
