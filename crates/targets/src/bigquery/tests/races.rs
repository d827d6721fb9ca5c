//! Loaders of two runs at the same time, two of each.

use std::task::Poll;

use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition::{Empty, Truncate};

use super::claims::{BEFORE, DOC, begin, table_before, two_of};
use super::line::{FAULTS, Line};
use super::{ID, advance};
use crate::target::Load;

#[tokio::test]
async fn runs_that_race_leave_the_newer_one() {
    let (mut races, mut overtaken) = (0, 0);
    let (warehouse, one, two_) = table_before("nothing").await;
    let (three, four) = (warehouse.connect().await, warehouse.connect().await);
    let lines = [one, two_, three, four];
    for seed in 0..100 {
        let staged = seed % 4 == 3;
        let before = BEFORE[usize::try_from(seed % 3).unwrap()];
        let disposition = if seed % 5 == 0 && before == "nothing" { Empty } else { Truncate };
        begin(&warehouse, &lines[0], before).await;
        let wanted = if seed % 6 == 1 { &[ID, DOC][..] } else { &[ID] };
        let [older, newer] = two_of(disposition, staged, wanted).await;
        let case = format!("{before}: race {seed}");
        for (line, of) in lines.iter().zip(1..) {
            let fault = FAULTS[usize::try_from((seed / 3 + of) % 4).unwrap()];
            let call = usize::try_from((seed * 5 + of * 3) % 17).unwrap();
            line.goes_wrong((seed % 7 > 2).then_some((call, fault)));
            line.mixes(seed * 7 + of);
        }
        // Two loaders of each run.
        let ends = futures::future::join_all([
            race(&lines[0], &older, &case),
            race(&lines[1], &newer, &case),
            race(&lines[2], &older, &case),
            race(&lines[3], &newer, &case),
        ])
        .await;
        assert_eq!((ends[0], ends[1]), (ends[2], ends[3]), "{case}");
        let shown = warehouse.shows("orders").unwrap();
        if disposition == Truncate {
            assert_eq!(ends[1], Some(None), "{case}");
            assert_eq!(shown, [newer.run.to_string()], "{case}");
        } else {
            assert_eq!(shown.len(), 1, "{case}");
        }
        overtaken += usize::from(ends[0] == Some(Some(newer.run)));
        races += 1;
    }
    println!("faults: {races} races of two runs into one table of BigQuery, {overtaken} overtaken");
    assert!(overtaken > 5 && overtaken < races, "{overtaken}");
}

/// The later run that it was overtaken by; `None` if it was refused.
async fn race(line: &Line, load: &Load, case: &str) -> Option<Option<RunId>> {
    for _ in 0..500 {
        tokio::select! {
            biased;
            () = line.died() => {}
            result = advance(&line.target, load) => match result {
                Ok(Poll::Ready(loaded)) => return Some(loaded.overtaken_by),
                Ok(Poll::Pending) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                Err(error) if error.is_transient() => {}
                Err(_) => return None,
            },
        }
    }
    panic!("{case}: it never ends");
}
