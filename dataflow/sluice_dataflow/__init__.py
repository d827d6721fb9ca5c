"""The part of Sluice that runs on Dataflow: it takes a table's newest rows and loads them."""
