//! How long `lint` takes over a folder of 10,000 manifests. `make bench` runs it.

mod figures;

use std::{process::ExitCode, time::Instant};

use figures::{Figures, figure};
use whatsapp_operator::cli::lint::lint;

const FILES: usize = 10_000;
/// Seconds.
const MOST: f64 = 20.0;

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a folder");
    for n in 0..FILES {
        let manifest = format!(
            "apiVersion: whatsapp-operator.dev/v1alpha1\nkind: WhatsAppChannel\nmetadata: {{name: shop-{n:05}, namespace: shops}}\n\
             spec:\n  portfolioRef: {{name: acme}}\n  phoneNumber: \"+55119{n:08}\"\n  displayName: Acme Suporte\n"
        );
        std::fs::write(dir.path().join(format!("{n:05}.yaml")), manifest).expect("it is written");
    }
    let begun = Instant::now();
    let report = lint(&[dir.path().to_owned()]);
    let took = begun.elapsed().as_secs_f64();
    assert_eq!((report.checked, report.has_errors()), (FILES, false), "{:?}", report.findings.first());
    let mut figures = Figures::new();
    figure(&mut figures, "lint", "10,000 files", took, "s", Some(MOST));
    figures::print(&figures)
}
