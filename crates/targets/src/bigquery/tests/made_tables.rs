//! Tables that a load makes just before it fills them, and what becomes of them if it never does.

use std::task::Poll;
use std::time::Duration;

use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition::{Append, Truncate};

use super::line::Line;
use super::transaction::two;
use super::warehouse::Warehouse;
use super::{ID, TAGS, advance, columns, load_of};
use crate::target::{Load, Target as _};

/// Makes the tables of a transaction, and dies before it starts.
async fn makes_and_dies(warehouse: &Warehouse, line: &Line, loads: &[Load]) {
    line.dies_once_made(Some("lines"));
    for _ in 0..200 {
        tokio::select! {
            biased;
            // A call of the race before may have died late.
            () = line.died() => if warehouse.tables().contains(&"lines".to_owned()) {
                return line.dies_once_made(None);
            },
            result = line.target.load_at_once(loads) => {
                assert!(matches!(result, Ok(Poll::Pending)), "{result:?}");
            }
        }
    }
    panic!("the table was never made");
}

/// Another run has filled the table since: the run that made it leaves it alone.
#[tokio::test]
async fn a_table_that_another_run_has_filled_stays_when_its_maker_fails() {
    for disposition in [Append, Truncate] {
        let warehouse = Warehouse::default();
        warehouse.begin(3);
        warehouse.stands("orders");
        let (line, other) = (warehouse.connect().await, warehouse.connect().await);
        let mut runs = [RunId::generate(), RunId::generate()].map(|run| run.to_string());
        runs.sort();
        let mut maker = two(&runs[1], Append).await;
        makes_and_dies(&warehouse, &line, &maker).await;
        // The one that fills it is the earlier of the two, or adds its rows.
        let filler = load_of(&runs[0], disposition, columns(&[ID])).await;
        let filler = Load { target: maker[1].target.clone(), ..filler };
        warehouse
            .change_label("sluice_claimed", |at| (at.parse::<u64>().unwrap() - 601).to_string());
        while advance(&other.target, &filler).await.unwrap().is_pending() {}
        assert_eq!(warehouse.shows("lines").unwrap(), [filler.run.to_string()]);

        // The other table was altered meanwhile.
        maker[0].columns = columns(&[ID, TAGS]);
        for _ in 0..20 {
            match line.target.load_at_once(&maker).await {
                Err(failed) if !failed.error.is_transient() => break,
                Ok(Poll::Ready(loaded)) => panic!("it cannot be loaded: {loaded:?}"),
                _ => {}
            }
        }
        let shown = warehouse.shows("lines").expect("the table stays");
        assert!(shown.contains(&filler.run.to_string()), "{disposition:?}: {shown:?}");
    }
}

/// The end that is set to a table is on condition that nobody has claimed it since.
#[tokio::test]
async fn a_run_that_claims_a_made_table_while_its_maker_gives_it_up_keeps_its_rows() {
    let warehouse = Warehouse::default();
    let (line, other) = (warehouse.connect().await, warehouse.connect().await);
    for seed in 0..200 {
        warehouse.begin(1);
        warehouse.stands("orders");
        let mut runs = [RunId::generate(), RunId::generate()].map(|run| run.to_string());
        runs.sort();
        let mut maker = two(&runs[0], Append).await;
        makes_and_dies(&warehouse, &line, &maker).await;
        // The other table was altered meanwhile.
        maker[0].columns = columns(&[ID, TAGS]);
        let later = load_of(&runs[1], Truncate, columns(&[ID])).await;
        let later = Load { target: maker[1].target.clone(), ..later };
        line.mixes(seed * 7 + 1);
        other.mixes(seed * 7 + 2);
        let gives_up = async {
            // It waits for the job of the other, however long that takes.
            for _ in 0..5_000 {
                if let Err(failed) = line.target.load_at_once(&maker).await
                    && !failed.error.is_transient()
                {
                    return;
                }
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
            panic!("race {seed}: it never fails");
        };
        let loads = async {
            // It comes at any point of the maker's way.
            tokio::time::sleep(Duration::from_micros(seed % 50 * 200)).await;
            for _ in 0..300 {
                match advance(&other.target, &later).await {
                    Ok(Poll::Ready(loaded)) => return assert_eq!(loaded.overtaken_by, None),
                    Ok(Poll::Pending) => tokio::task::yield_now().await,
                    Err(error) => assert!(error.is_transient(), "{}", error.chain()),
                }
            }
            panic!("race {seed}: it never ends");
        };
        tokio::join!(gives_up, loads);
        let shown = warehouse.shows("lines").expect("the later run's rows stay");
        assert_eq!(shown, [later.run.to_string()], "race {seed}");
    }
    println!("faults: 200 races of a run for a table that another one has made and gives up");
}
