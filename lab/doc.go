// Package lab holds what needs more than one room: here the cost of a request
// and of a streamed event on their whole path, beside this the folders with
// processes, guides, clients and both planes.
//
//	make bench   ns, B and allocs of the path, sockets included
//	TestBudget   allocs of the path without sockets, held against budget.txt
package lab
