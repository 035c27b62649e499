//! reconcile

use super::{Job, Kernel, Report};

/// The owner of the kernel's table.
pub struct Reconciler {
    _kernel: Box<dyn Kernel>,
}

impl Reconciler {
    /// A reconciler over this kernel.
    pub fn new(kernel: Box<dyn Kernel>) -> Reconciler {
        Reconciler { _kernel: kernel }
    }

    /// Does one job.
    pub fn run(&mut self, _job: &Job) -> Report {
        Report::default()
    }
}
