// Package process holds egret to its promises as a process: what a person at a
// shell and an operator with a signal see. Budgets and tiers over the whole
// quickstart, reloads under load, kill -9, full disks, ports that are taken.
package process
