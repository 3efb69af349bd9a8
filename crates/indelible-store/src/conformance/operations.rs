//! Random runs of ledger operations, the same ones on the store under test and on the reference.

use indelible_event::ids::{AuditId, TenantId};
use indelible_merkle::leaf_hash;

use crate::conformance::ledger::read_all;
use crate::conformance::{Generator, LedgerFixture, MakeLedger, Mix, Random};
use crate::memory::MemoryLedger;
use crate::{Commit, Ledger};

/// Operations of one run.
const OPERATIONS: usize = 300;

struct Run {
    random: Random,
    generator: Generator,
    tenants: Vec<TenantId>,
    reference: MemoryLedger,
    /// Only absent while it is reopened.
    fixture: Option<Box<dyn LedgerFixture>>,
    ids: Vec<AuditId>,
}

/// Runs the operations that follow from `seed`.
pub fn run(make: MakeLedger<'_>, seed: u64) {
    let generator = Generator::new(
        seed,
        Mix {
            tenants: 4,
            ..Mix::default()
        },
    );
    let tenants = generator.tenants().cloned().collect();
    let mut run = Run {
        random: Random::new(seed ^ 0x6f70_6572),
        generator,
        tenants,
        reference: MemoryLedger::new(),
        fixture: Some(make()),
        ids: vec![AuditId([3; 16])],
    };
    for _ in 0..OPERATIONS {
        run.step();
    }
    run.reopen();
    for tenant in &run.tenants {
        let all = |ledger: &dyn Ledger| read_all(ledger, tenant, 0..u64::MAX);
        assert!(
            all(run.ledger()) == all(&run.reference),
            "{tenant} differs at the end"
        );
    }
    let committed = run.reference.tenants().unwrap();
    assert_eq!(committed.len(), 4, "the run was too short to mean anything");
}

impl Run {
    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.append(),
            40..50 => self.append_wrongly(),
            50..65 => self.find(),
            65..80 => self.read(),
            80..95 => self.subtree(),
            _ => self.reopen(),
        }
        for tenant in &self.tenants {
            let (found, expected) = (self.ledger().head(tenant), self.reference.head(tenant));
            assert_eq!(found.unwrap(), expected.unwrap());
        }
    }

    fn ledger(&self) -> &dyn Ledger {
        self.fixture.as_ref().unwrap().ledger()
    }

    fn reopen(&mut self) {
        self.fixture = self.fixture.take().map(LedgerFixture::reopen);
    }

    /// Both answer alike.
    fn commit(&self, commit: &Commit) {
        let expected = self.reference.append(commit).map_err(|e| e.kind());
        let outcome = self.ledger().append(commit).map_err(|e| e.kind());
        assert_eq!(outcome, expected);
    }

    fn append(&mut self) {
        let commit = self.generator.commit(12);
        let records = commit.appends.iter().flat_map(|a| &a.records);
        self.ids.extend(records.map(|r| r.audit_id));
        self.commit(&commit);
    }

    fn append_wrongly(&mut self) {
        // Made by a copy, so that the heads of the generator stay what is committed.
        let mut commit = self.generator.clone().commit(5);
        match self.random.below(3) {
            0 => commit.appends[0].expected.last_hash = leaf_hash(b"another"),
            1 => commit.appends[0].records.clear(),
            _ => commit.appends.clear(),
        }
        self.commit(&commit);
    }

    fn find(&mut self) {
        let tenant = self.random.pick(&self.tenants).clone();
        let wanted: Vec<_> = (0..self.random.below(9))
            .map(|_| *self.random.pick(&self.ids))
            .collect();
        let found = self.ledger().find(&tenant, &wanted).unwrap();
        assert_eq!(found, self.reference.find(&tenant, &wanted).unwrap());
    }

    fn read(&mut self) {
        let tenant = self.random.pick(&self.tenants).clone();
        let start = self.random.below(120);
        let range = start..start + self.random.below(60);
        let expected = read_all(&self.reference, &tenant, range.clone());
        let found = read_all(self.ledger(), &tenant, range.clone());
        assert!(found == expected, "{range:?} of {tenant} differs");
    }

    fn subtree(&mut self) {
        let tenant = self.random.pick(&self.tenants).clone();
        let level = self.random.below(9) as u32;
        let index = self.random.below(240 >> level);
        let kind = |ledger: &dyn Ledger| {
            ledger
                .subtree(&tenant, level, index)
                .map_err(|error| error.kind())
        };
        assert_eq!(
            kind(self.ledger()),
            kind(&self.reference),
            "{level} {index}"
        );
    }
}
