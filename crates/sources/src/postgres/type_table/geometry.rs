//! The server's own shapes, which lie on a plane and not on the earth.

use super::{Row, text};

pub(super) const ROWS: &[Row] = &[
    text("point", "(1.5,-2)", "(1.5,-2)"),
    text("line", "{1,-1,0}", "{1,-1,0}"),
    text("lseg", "[(0,0),(1,1)]", "[(0,0),(1,1)]"),
    text("box", "(1,1),(0,0)", "(1,1),(0,0)"),
    text("path", "((0,0),(1,1),(1,0))", "((0,0),(1,1),(1,0))"),
    text("polygon", "((0,0),(1,1),(1,0))", "((0,0),(1,1),(1,0))"),
    text("circle", "<(0,0),1.5>", "<(0,0),1.5>"),
];
