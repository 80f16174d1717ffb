//! Past runs drawn again.

use std::fs;
use std::path::PathBuf;

use crate::home::Home;
use crate::plans::lab;

/// A home with one run in it, what it printed, and the run's id.
fn drilled() -> (Home, String, String) {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[]));
    let ended = home.run(&["run", plan, "-q", "--report", "table", "--report", "json=drill.json"]);
    assert_eq!(ended.code, 0, "{ended}");
    let run = home.only_run();
    (home, ended.stdout, run)
}

fn kept(home: &Home, run: &str, file: &str) -> PathBuf {
    home.path("firedrill/runs").join(run).join(file)
}

/// A drill takes seconds, so one serves for all that does not harm it.
#[test]
fn a_past_run_is_drawn_again_byte_for_byte_and_its_samples_are_kept() {
    let (home, table, run) = drilled();
    let json = fs::read_to_string(home.path("drill.json")).unwrap();
    let record = kept(&home, &run, "record.json").display().to_string();
    let directory = kept(&home, &run, "").display().to_string();
    for name in ["last", &run, &run[..run.len() - 2], &record, &directory] {
        home.run(&["report", name]).is(0, &table, "");
    }
    home.run(&["report", "last", "--format", "json"]).is(0, &json, "");
    home.run(&["report", "last", "--format", "json=again.json"]).is(0, "", "");
    assert!(fs::read_to_string(home.path("again.json")).unwrap() == json);

    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let schema = home.run(&["schema", "record"]);
    assert_eq!(schema.code, 0);
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    let schema = serde_json::from_str(&schema.stdout).unwrap();
    compiler.add_resource("record.json", schema).unwrap();
    let index = compiler.compile("record.json", &mut schemas).unwrap();
    schemas.validate(&value, index).unwrap_or_else(|error| panic!("{error:#}"));

    let counts = &value["services"][0]["probes"][0]["counts"];
    assert_eq!(value["samples"]["kept"], counts["due"], "{value:#}");
    assert_eq!(value["samples"]["lost"], 0);
    assert_eq!(value["environment"]["timer"]["sent"], counts["sent"]);
    assert!(table.contains("\non "), "{table}");

    let csv = home.run(&["report", "last", "--format", "csv"]);
    assert_eq!((csv.code, csv.stderr.as_str()), (0, ""));
    let rows: Vec<Vec<&str>> =
        csv.stdout.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len() as u64, counts["due"]);
    let with = |outcome: &str| rows.iter().filter(|row| row[8] == outcome).count() as u64;
    assert_eq!(with("good"), counts["good"]);
    assert_eq!(with("bad"), counts["bad"]);
    assert!(rows.iter().all(|row| row.len() == 12 && row[2] == "talk" && row[3] == "get"));
    for stage in ["baseline", "observe", "failback"] {
        assert!(rows.iter().any(|row| row[11] == stage), "{stage}");
    }

    refused(&home, &run);
    harmed(&home, &run, &csv.stdout);
}

/// What is refused before anything is written.
fn refused(home: &Home, run: &str) {
    let both = ["report", "last", "--format", "json=both.json", "--format", "csv=no/such/x.csv"];
    home.run(&both).has(2, &["no/such/x.csv could not be opened", "nothing was touched"]);
    assert!(!home.path("both.json").exists());
    let leftovers = fs::read_dir(home.root()).unwrap();
    let names = leftovers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.starts_with(".firedrill-")));

    home.run(&["report", "20000101"]).has(2, &["there is no run 20000101"]);
    home.run(&["report", "last", "--format", "pdf"]).has(2, &["or csv"]);
    let away = kept(home, run, "record.json");
    home.file(
        "newer.json",
        fs::read_to_string(away).unwrap().replacen("\"format\": 1", "\"format\": 7", 1),
    );
    home.run(&["report", "newer.json"]).has(2, &["it has the format 7"]);
    home.file("torn.json", "{ \"format\": 1, \"run\": ");
    home.run(&["report", "torn.json"])
        .has(2, &["torn.json: it is no run record, or a damaged one"]);
    fs::copy(home.path("drill.json"), home.path("alone.json")).unwrap();
    home.run(&["report", "alone.json", "--format", "csv"]).has(2, &["no samples are kept in"]);
}

/// Samples that were torn off, and those of another run.
fn harmed(home: &Home, run: &str, csv: &str) {
    let samples = kept(home, run, "samples");
    let whole = fs::read(&samples).unwrap();
    // The last frame is empty: before it the samples are all there.
    fs::write(&samples, &whole[..whole.len() - 3]).unwrap();
    let torn = home.run(&["report", "last", "--format", "csv"]);
    torn.has(0, &["is damaged", "its end is missing"]);
    assert!(torn.stdout == csv);
    fs::write(&samples, b"nothing of the kind").unwrap();
    let other = home.run(&["report", "last", "--format", "csv"]);
    other.has(2, &["it does not begin as samples of firedrill do"]);
    assert_eq!(other.stdout, "");

    fs::write(&samples, &whole).unwrap();
    let record = kept(home, run, "record.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace(run, "20010101T000000Z-0000")).unwrap();
    home.run(&["report", "last", "--format", "csv"]).has(2, &["the samples of another run"]);
}

#[test]
fn a_drill_whose_samples_cannot_be_kept_ends_as_it_would_have() {
    let home = Home::new();
    let plan = home.file("plan.yaml", lab(&[("every: 20ms", "every: 5ms")]));
    // No file may grow beyond 2 KiB: the journal fits, the samples do not, nor does the record.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "sh"]).arg(crate::home::binary());
    shell.args(["run", plan, "-q", "--report", "json"]);
    home.prepare(&mut shell);
    let ended = crate::home::end(shell.spawn().unwrap());
    ended.has(0, &["warning: the run record could not be kept"]);
    let record: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&record["verdict"], &record["samples"]["kept"]), (&"PASS".into(), &0.into()));
    assert_eq!(record["samples"]["lost"], record["services"][0]["probes"][0]["counts"]["due"]);
    assert!(record["samples"]["why"].as_str().unwrap().contains("too large"), "{record:#}");
    home.run(&["report", "last"]).has(2, &["no run is kept in"]);
}
