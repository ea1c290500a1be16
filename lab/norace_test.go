//go:build !race

package lab

// slack is what allocations may exceed their budget by.
const slack = 0
