//! Function calls: the few through which a protected column may pass, and the walk over all others.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    WindowFrameBound, WindowSpec, WindowType,
};

use super::planner::Planner;
use super::scope::{Chain, Scope};
use super::value::Value;
use super::why;
use crate::catalog::Watched;
use crate::sql::Refusal;

impl Planner<'_> {
    pub(super) fn function(&mut self, function: &Function, chain: &Chain<'_>) -> Result<Value, Refusal> {
        let parts = self.parts(&function.name)?;
        let Some(name) = parts.last() else {
            return Err(why::not_understood("a function without a name"));
        };
        if matches!(self.watched(name), Some(Watched::Routine)) {
            return Err(why::routine(name));
        }
        if !matches!(function.parameters, FunctionArguments::None)
            || !function.within_group.is_empty()
            || function.filter.is_some()
        {
            return Err(why::not_understood("this kind of function call"));
        }
        let built_in = parts.len() == 1;
        let upper = name.to_ascii_uppercase();
        let special = if built_in { upper.as_str() } else { "" };
        if let Some(window) = &function.over {
            self.window(window, chain)?;
            if matches!(special, "COALESCE" | "IFNULL" | "NVL" | "IF" | "ANY_VALUE" | "VALUES" | "VALUE") {
                return Err(why::not_understood("OVER after this function"));
            }
        }
        let list = match &function.args {
            FunctionArguments::None => return Ok(Value::Plain),
            FunctionArguments::Subquery(_) => return Err(why::not_understood("a query as the argument of a function")),
            FunctionArguments::List(list) => list,
        };
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(order) => {
                    for o in order {
                        self.plain(&o.expr, chain, "ORDER BY within a function")?;
                    }
                }
                FunctionArgumentClause::Separator(_) => {}
                FunctionArgumentClause::Limit(limit) => self.plain(limit, chain, "LIMIT")?,
                FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                _ => return Err(why::not_understood("a clause within a function call")),
            }
        }
        let mut args: Vec<&Expr> = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => args.push(expr),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if special == "COUNT" => {}
                _ => return Err(why::not_understood("this kind of argument")),
            }
        }
        let distinct = matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct));
        match (special, args.as_slice()) {
            ("COUNT", [arg]) if !distinct => {
                self.expr(arg, chain)?;
                Ok(Value::Plain)
            }
            ("ISNULL", [arg]) => {
                self.expr(arg, chain)?;
                Ok(Value::Plain)
            }
            ("COALESCE" | "IFNULL" | "NVL", _) => {
                let branches = args.iter().map(|a| self.expr(a, chain)).collect::<Result<Vec<_>, _>>()?;
                self.merge(branches, &upper)
            }
            ("ANY_VALUE", [arg]) => Ok(self.expr(arg, chain)?.settled()),
            ("IF", [condition, yes, no]) => {
                self.plain(condition, chain, "the condition of IF")?;
                let branches = vec![self.expr(yes, chain)?, self.expr(no, chain)?];
                self.merge(branches, "IF")
            }
            ("VALUES" | "VALUE", [arg]) => self.inserted_value(arg),
            // The first argument of these is a unit, not a column.
            ("TIMESTAMPDIFF" | "TIMESTAMPADD" | "GET_FORMAT", [Expr::Identifier(unit), rest @ ..])
                if unit.quote_style.is_none() && is_unit(&unit.value) =>
            {
                self.all_plain(rest.iter().copied(), chain, &upper)
            }
            ("COUNT", _) if distinct => {
                for arg in &args {
                    let value = self.expr(arg, chain)?;
                    if let Some(column) = value.unsearchable() {
                        return Err(why::at(why::aggregate(column, "COUNT(DISTINCT)"), self.expr_span(arg)));
                    }
                    self.whole_only(value.sealed(), "COUNT(DISTINCT)")?;
                }
                Ok(Value::Plain)
            }
            (
                "MIN" | "MAX" | "SUM" | "AVG" | "COUNT" | "GROUP_CONCAT" | "BIT_AND" | "BIT_OR" | "BIT_XOR" | "STD"
                | "STDDEV" | "VARIANCE" | "JSON_ARRAYAGG" | "JSON_OBJECTAGG",
                _,
            ) => {
                for arg in &args {
                    if let Value::Sealed(column) = self.expr(arg, chain)? {
                        return Err(why::at(why::aggregate(&column, &upper), self.expr_span(arg)));
                    }
                }
                Ok(Value::Plain)
            }
            _ => self.all_plain(args.iter().copied(), chain, &format!("{upper}()")),
        }
    }

    /// `VALUES(col)` of an ON DUPLICATE KEY UPDATE: the value that would have been inserted.
    fn inserted_value(&mut self, arg: &Expr) -> Result<Value, Refusal> {
        let Some(target) = self.insert_target.clone() else {
            return Err(why::not_understood("VALUES() outside of ON DUPLICATE KEY UPDATE"));
        };
        let (schema, table, column) = match arg {
            Expr::Identifier(column) => (None, None, self.name(column)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [t, c] => (None, Some(self.name(t)), self.name(c)),
                [s, t, c] => (Some(self.name(s)), Some(self.name(t)), self.name(c)),
                _ => return Err(why::not_understood("VALUES()")),
            },
            _ => return Err(why::not_understood("VALUES()")),
        };
        let scope = Scope { relations: vec![target.clone()], ..Scope::default() };
        let chain = Chain::new(&scope, None);
        let table = table.unwrap_or_else(|| target.name.clone());
        chain.resolve_qualified(schema.as_deref(), &table, &column, self.fold())
    }

    fn window(&mut self, window: &WindowType, chain: &Chain<'_>) -> Result<(), Refusal> {
        match window {
            WindowType::NamedWindow(_) => Ok(()),
            WindowType::WindowSpec(spec) => self.window_spec(spec, chain),
        }
    }

    pub(super) fn window_spec(&mut self, spec: &WindowSpec, chain: &Chain<'_>) -> Result<(), Refusal> {
        for expr in &spec.partition_by {
            let value = self.expr(expr, chain)?;
            if let Some(column) = value.unsearchable() {
                return Err(why::at(why::window(column), self.expr_span(expr)));
            }
            self.whole_only(value.sealed(), "PARTITION BY")?;
        }
        for expr in spec.order_by.iter().map(|o| &o.expr) {
            if let Value::Sealed(column) = self.expr(expr, chain)? {
                return Err(why::at(why::window(&column), self.expr_span(expr)));
            }
        }
        let Some(frame) = &spec.window_frame else {
            return Ok(());
        };
        for bound in std::iter::once(&frame.start_bound).chain(&frame.end_bound) {
            match bound {
                WindowFrameBound::CurrentRow
                | WindowFrameBound::Preceding(None)
                | WindowFrameBound::Following(None) => {}
                WindowFrameBound::Preceding(Some(e)) | WindowFrameBound::Following(Some(e)) => {
                    self.plain(e, chain, "a window frame")?;
                }
            }
        }
        Ok(())
    }
}

fn is_unit(word: &str) -> bool {
    const UNITS: [&str; 23] = [
        "MICROSECOND",
        "SECOND",
        "MINUTE",
        "HOUR",
        "DAY",
        "WEEK",
        "MONTH",
        "QUARTER",
        "YEAR",
        "FRAC_SECOND",
        "SQL_TSI_MICROSECOND",
        "SQL_TSI_SECOND",
        "SQL_TSI_MINUTE",
        "SQL_TSI_HOUR",
        "SQL_TSI_DAY",
        "SQL_TSI_WEEK",
        "SQL_TSI_MONTH",
        "SQL_TSI_QUARTER",
        "SQL_TSI_YEAR",
        "DATE",
        "TIME",
        "DATETIME",
        "TIMESTAMP",
    ];
    UNITS.iter().any(|u| u.eq_ignore_ascii_case(word))
}
