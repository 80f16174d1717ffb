//! The scanner and the rules on small sources that break them: a rule that cannot fail holds nothing.

use super::rules::{MACROS, ONLY};
use super::source::{Source, code, functions, paths};
use super::{dependencies, forbidden, imports, macros, misplaced};

fn named(text: &str) -> Vec<String> {
    paths(&code(text)).iter().map(super::source::Named::text).collect()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"a /* b /* c */ d */ e // f
"g \" h" 'i' '\'' b"j" r#"k " l"# 'life m"##;
    let words: Vec<String> = code(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "e", "b", "'life", "m"]);
    assert_eq!(code(text).lines().count(), 2);
}

#[test]
fn groups_are_unfolded_however_deep() {
    let found = named("use crate::{model::{Plan, control::{Mode, Act as Deed}}, clock};\nx::y();");
    let wanted = [
        "crate::model::Plan",
        "crate::model::control::Mode",
        "crate::model::control::Act",
        "crate::clock",
        "x::y",
    ];
    assert!(wanted.iter().all(|path| found.contains(&(*path).to_owned())), "{found:?}");
}

#[test]
fn a_group_over_several_lines_is_one_path_each_with_its_line() {
    let found = paths("use crate::{\n    plan,\n    measure::judge,\n};");
    let found: Vec<(usize, String)> =
        found.iter().map(|named| (named.line, named.text())).collect();
    assert_eq!(found, [(2, "crate::plan".to_owned()), (3, "crate::measure::judge".to_owned())]);
}

#[test]
fn an_import_against_the_table_is_found_in_every_form() {
    for text in [
        "use crate::plan::parse;",
        "use crate::{model::Plan, plan};",
        "use super::plan;",
        "use super::{\n    plan::Inputs,\n};",
        "fn f() { crate::plan::parse() }",
        "use crate::*;",
    ] {
        assert_eq!(imports(&Source::new("src/measure/mod.rs", text)).len(), 1, "{text}");
    }
    let deep = Source::new("src/measure/run.rs", "use super::super::plan::parse;");
    assert_eq!(imports(&deep).len(), 1);
}

#[test]
fn super_leads_out_of_a_module_within_a_file_first() {
    let text = "mod millis {\n    use super::plan;\n}\nuse super::run;";
    assert_eq!(imports(&Source::new("src/measure.rs", text)), [""; 0]);
    let out = "pub(super) mod millis {\n    use super::super::plan;\n}";
    assert_eq!(imports(&Source::new("src/measure.rs", out)).len(), 1);
}

#[test]
fn imports_that_the_table_allows_pass() {
    let text = "use crate::model::Plan;\nuse super::run;\n// use crate::plan;\nlet a = \"crate::plan::x\";";
    assert_eq!(imports(&Source::new("src/measure/verdict.rs", text)), [""; 0]);
    let test = "#[cfg(test)]\nmod tests {\n    use crate::plan::parse;\n}\n";
    assert_eq!(imports(&Source::new("src/measure/verdict.rs", test)), [""; 0]);
    let behind = format!("{test}use crate::plan::parse;");
    assert_eq!(imports(&Source::new("src/measure/verdict.rs", &behind)).len(), 1);
}

#[test]
fn what_a_pure_room_must_not_do_is_found() {
    for text in [
        "use tokio::sync::mpsc;",
        "use std::fs;",
        "use std::{fs, io};",
        "let f = std::fs::read(p);",
        "use std::net::{SocketAddr, TcpStream};",
    ] {
        assert_eq!(forbidden(&Source::new("src/plan/read.rs", text)).len(), 1, "{text}");
    }
    let fine =
        Source::new("src/plan/read.rs", "use std::net::{IpAddr, SocketAddr};\nuse std::fmt;");
    assert_eq!(forbidden(&fine), [""; 0]);
}

#[test]
fn a_second_clock_or_exit_is_found() {
    for text in ["let t = Instant::now();", "std::time::SystemTime::now()", "std::process::exit(1)"]
    {
        assert_eq!(misplaced(&Source::new("src/drill/watch.rs", text), ONLY).len(), 1, "{text}");
    }
    assert_eq!(misplaced(&Source::new("src/clock.rs", "Instant::now()"), ONLY), [""; 0]);
    assert_eq!(misplaced(&Source::new("src/proxy/flow.rs", "Instant::now()"), ONLY), [""; 0]);
}

#[test]
fn a_macro_in_the_wrong_place_is_found_and_its_namesakes_are_not() {
    let source =
        Source::new("src/probe/mod.rs", "println!(\"a\"); eprintln!(); my_panic!(); panic!()");
    assert_eq!(macros(&source, &source.production, MACROS).len(), 3);
    let source = Source::new("src/cli/mod.rs", "eprintln!(); // println!()");
    assert_eq!(macros(&source, &source.production, MACROS), [""; 0]);
}

#[test]
fn functions_are_measured_to_their_closing_brace() {
    let text = "fn a() {\n    if x {\n    }\n}\ntrait T {\n    fn none(&self);\n    fn b(&self) -> [u8; 2] { [1, 2] }\n}\nfn c<F: Fn()>(f: fn(u8) -> u8)\nwhere\n    F: Send,\n{\n}\n";
    assert_eq!(
        functions(&code(text)),
        [("a".to_owned(), 1, 4), ("b".to_owned(), 7, 1), ("c".to_owned(), 9, 5)]
    );
}

#[test]
fn dependencies_are_read_by_the_name_that_code_uses() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\nhyper-util = \"1\"\nserde_yaml = { package = \"y\" }\n[dev-dependencies]\ninsta = \"1\"\n";
    assert_eq!(dependencies(manifest), ["hyper_util", "serde_yaml"]);
}
