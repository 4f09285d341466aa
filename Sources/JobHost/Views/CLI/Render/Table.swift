/// Columns that line up and fit the terminal.
struct Table {
    struct Column {
        var title: String
        var alignsRight = false
        /// Shrinks down to this many columns when the terminal is too narrow; nil: never.
        var least: Int?
        /// Left out, the highest first, when shrinking is not enough; nil: never.
        var dropOrder: Int?
        init(_ title: String, alignsRight: Bool = false, least: Int? = nil, dropOrder: Int? = nil) {
            self.title = title
            self.alignsRight = alignsRight
            self.least = least
            self.dropOrder = dropOrder
        }
    }
    var columns: [Column]
    var rows: [[Styled]] = []
    var indent = 0
    private static let gap = 2

    init(_ columns: [Column], indent: Int = 0) {
        self.columns = columns
        self.indent = indent
    }

    /// Each row must have a cell per column.
    mutating func add(_ cells: [Styled]) { rows.append(cells) }

    /// `width` nil: as wide as it gets. Columns without any text are left out.
    func lines(width: Int?) -> [Styled] {
        let used = columns.indices.filter { i in rows.contains { $0[i].width > 0 } }
        let (shown, widths) = fit(used, width: width)
        let hasTitles = shown.contains { !columns[$0].title.isEmpty }
        let titles = hasTitles ? [shown.map { Styled(columns[$0].title, .dim) }] : []
        let margin = Styled(String(repeating: " ", count: indent))
        return (titles + rows.map { row in shown.map { row[$0] } }).map { cells in
            var line = margin
            for (position, cell) in cells.enumerated() {
                let column = columns[shown[position]]
                let isLast = position == cells.count - 1
                let cut = cell.truncated(to: widths[position])
                let gap = Styled(position == 0 ? "" : String(repeating: " ", count: Self.gap))
                line += gap + (isLast && !column.alignsRight ? cut : cut.padded(to: widths[position], alignRight: column.alignsRight))
            }
            return line
        }
    }

    private func fit(_ used: [Int], width: Int?) -> (columns: [Int], widths: [Int]) {
        var shown = used
        while true {
            var widths = shown.map { i in rows.reduce(columns[i].title.count) { max($0, $1[i].width) } }
            guard let width else { return (shown, widths) }
            var excess = indent + widths.reduce(0, +) + Self.gap * max(0, shown.count - 1) - width
            // The widest that may shrink gives way first.
            while excess > 0, let widest = shown.indices.filter({ widths[$0] > (columns[shown[$0]].least ?? .max) })
                .max(by: { widths[$0] < widths[$1] }) {
                widths[widest] -= 1
                excess -= 1
            }
            if excess <= 0 { return (shown, widths) }
            guard let last = shown.filter({ columns[$0].dropOrder != nil })
                .max(by: { (columns[$0].dropOrder ?? 0) < (columns[$1].dropOrder ?? 0) })
            else { return (shown, widths) }
            shown.removeAll { $0 == last }
        }
    }
}
