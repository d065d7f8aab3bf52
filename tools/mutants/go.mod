module github.com/bot-bottle/bot-bottle/tools/mutants

go 1.26
