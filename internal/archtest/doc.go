// Package archtest keeps the shape of the module: which package may import
// which, where each outside dependency lives, and who may use unsafe.
//
// All of it is data in layers_test.go. A package that is not listed there, an
// edge that is not allowed, a dependency without a home: each fails the test
// with the file that has it.
//
// Invariants:
//
//  1. A package imports only what its rule names, and what those name in turn.
//     All of that is in lower layers, so there are no siblings and no cycles.
//  2. Tests may besides import whatever is in a lower layer than their package,
//     and the packages that are for tests only, which nothing else imports.
//  3. The files of every platform and build tag are checked, not only those
//     that this machine would compile.
//
// Besides, the design says for every numbered invariant of every package by
// what it is guarded (invariants_test.go), and names no test that is not there.
//
// The test reads the source of the module and writes nothing; it keeps no
// state. It does not look at sizes, names or comments, and not at the modules
// nested in this one, which have go.mod files of their own.
package archtest
