//! Observables: typed canonical values (rule N).
